"""DepMap's own files: cell lines, RNA-seq, gene dependency and gene effect of a release."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from leaplib.base.errors import InputError
from leaplib.sources import manifest
from leaplib.sources.gene_sets import read_cgp
from leaplib.sources.screens import GeneScreen
from leaplib.sources.tabular import DATE, Place, parse_all

MEND = "put the file there as DepMap publishes it (`leap data status` names its page)"
GENE = re.compile(r"(?P<symbol>\S.*) \((?P<entrez>[^()]*)\)")
LINE_IDS = {"ModelID": r"ACH-\d+", "CCLEName": r"(?:\[MERGED_TO_ACH-\d+\])?[^\s_]+_[A-Z0-9_]+"}
DEFAULT_ENTRY = "IsDefaultEntryForModel"
MAX_LOG_TPM = 20  # TPM add up to a million: log2(1e6 + 1) is 19.93
MIN_SHARED = 0.5  # of the screened lines; files of one release share more than nine in ten
BLOCK = 1 << 26  # bytes read at once: a row of 19,000 genes takes some hundred kilobytes

MODEL_FILE = {
    "depmap_id": "ModelID",
    "name": "CellLineName",
    "ccle_name": "CCLEName",
    "model_id": "SangerModelID",
    "cosmic_id": "COSMICID",
    "tissue": "OncotreeLineage",
    "cancer_type": "OncotreePrimaryDisease",
    "cancer_type_detail": "OncotreeSubtype",
}
SAMPLE_INFO = {
    "depmap_id": "Broad_ID",
    "name": "Aliases",
    "ccle_name": "CCLE_name",
    "cosmic_id": "COSMIC_ID",
    "cancer_type": "Primary Disease",
    "cancer_type_detail": "Subtype Disease",
}
REQUIRED = ("ModelID", "CellLineName", "OncotreeLineage", "OncotreePrimaryDisease", "CCLE_name", "Primary Disease")


@dataclass(frozen=True)
class Release:
    """The names of a release's files in the manifest, and what its labels are."""

    labels: str
    expression: str
    models: str
    label: str = "gene dependency"


RELEASES = {
    "23Q4": Release("depmap-23q4-dependency", "depmap-23q4-expression", "depmap-23q4-model"),
    "22Q4": Release("depmap-22q4-dependency", "depmap-22q4-expression", "depmap-22q4-model"),
    # The first release has no expression of its own: as in the paper, that of 23Q4 serves.
    "18Q3": Release("depmap-18q3-effect", "depmap-23q4-expression", "depmap-23q4-model", "gene effect"),
}


def files(release: str) -> tuple[str, str, str]:
    """Return the names, in the manifest, of the files that a release's screen is read from: labels first."""
    if release not in RELEASES:
        raise InputError(f"DepMap release {release!r} is unknown: use one of {', '.join(RELEASES)}")
    return RELEASES[release].labels, RELEASES[release].expression, RELEASES[release].models


def is_here(release: str) -> bool:
    """Tell whether all files of a release's screen lie in data/raw."""
    return all(manifest.get_source(name).target.is_file() for name in files(release))


def read_gene_screen(release: str = "23Q4") -> GeneScreen:
    """Read a release's RNA-seq, labels and cell lines, and join them.

    Lines are named by ModelID ("ACH-000001"), which all files of all releases share. The drug screen names
    lines as the Cell Model Passports do: its samples' column depmap_id holds the ModelID.

    Parameters
    ----------
    release : {"23Q4", "22Q4", "18Q3"}
        The labels of 18Q3 are gene effects, and its lines have the expression and lineages of 23Q4.

    Returns
    -------
    GeneScreen
        `samples` has every line with expression or labels; its columns are those of `read_models`,
        all missing for a line that Model.csv does not list.

    Raises
    ------
    InputError
        When a file is missing, damaged, not what its name says, or of another release.
    """
    labels, rna, lines = (manifest.path(name) for name in files(release))
    if "OncotreeLineage" not in _header(lines):
        raise InputError(f"{lines}: lacks the column 'OncotreeLineage': the list of another release: {MEND}")
    models, expression = read_models(lines), read_expression(rna)
    read = read_effect if RELEASES[release].label == "gene effect" else read_dependency
    dependency = to_model_ids(read(labels), models)
    for known, where in ((expression.index, rna), (models.index, lines)):
        _check_shared(dependency.index, labels, known, where)
    return GeneScreen(
        expression=expression,
        dependency=dependency,
        samples=models.reindex(expression.index.union(dependency.index)).rename_axis("line"),
        gene_sets=read_cgp(),
        unit="log2(TPM+1)",
        platform=f"RNA-seq (DepMap {RELEASES[release].expression.split('-')[1].upper()})",
        data="real",
    )


def _check_shared(labelled: pd.Index, labels: Path, known: pd.Index, where: Path) -> None:
    """Refuse files that have too few lines in common to belong together."""
    common = int(labelled.isin(known).sum())
    if common < MIN_SHARED * len(labelled):
        raise InputError(f"{labels}: only {common} of its {len(labelled)} lines (ModelID) are in {where}: "
                         "put files of one release there")  # fmt: skip


def read_models(path: str | Path) -> pd.DataFrame:
    """Read the list of cell lines: Model.csv, or sample_info.csv as of 2018.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DataFrame, one row a line
        The index `line` is the ModelID. Columns, all text with missing values: depmap_id (the ModelID);
        name; ccle_name; model_id (of the Cell Model Passports); cosmic_id; tissue (OncotreeLineage);
        cancer_type, cancer_type_detail. The list of 2018 calls the ModelID Broad_ID and has no lineage: its
        tissue is the second half of the CCLE name ("HL60_HAEMATOPOIETIC_AND_LYMPHOID_TISSUE"), its name
        the first of the aliases.

    Raises
    ------
    InputError
        When the file is missing or no CSV, lacks or repeats a column, holds no line, or a ModelID is empty or
        repeated.
    """
    columns = _model_columns(path, _header(path))
    try:
        frame = parse_all(Path(path).read_bytes(), Place(Path(path), "", mend=MEND))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 ({error}): {MEND}") from error
    if frame.empty:
        raise InputError(f"{path}: holds no line: {MEND}")
    frame = frame[list(columns)].rename(columns=columns).reindex(columns=list(MODEL_FILE)).astype("str")
    frame = frame.apply(lambda column: column.str.strip())
    frame.index = _line_index(frame["depmap_id"], path, ("ModelID",)).rename("line")
    frame["cosmic_id"] = frame["cosmic_id"].str.removesuffix(".0")  # written as a number with a decimal point
    return frame if "OncotreeLineage" in columns else _from_ccle_name(frame)


def _model_columns(path: str | Path, header: list[str]) -> dict[str, str]:
    """Return our name of each column that is there, by the file's name for it.

    The capitals of "CCLE_Name" changed between the releases of 2018.
    """
    there = {name.lower(): name for name in header}
    scheme = SAMPLE_INFO if "broad_id" in there else MODEL_FILE
    missing = [name for name in scheme.values() if name in REQUIRED and name.lower() not in there]
    if missing:
        raise InputError(f"{path}: no list of cell lines: lacks the column {', '.join(map(repr, missing))} "
                         f"(has {_some(header)}): {MEND}")  # fmt: skip
    found = {there[theirs.lower()]: ours for ours, theirs in scheme.items() if theirs.lower() in there}
    repeated = [name for name in found if header.count(name) > 1]
    if repeated:
        raise InputError(f"{path}: the column {repeated[0]!r} is there twice: {MEND}")
    return found


def _from_ccle_name(frame: pd.DataFrame) -> pd.DataFrame:
    """Fill in tissue and name where the list has only CCLE names and aliases."""
    parts = frame["ccle_name"].str.replace(r"^\[.*\]", "", regex=True).str.split("_", n=1)
    tissue = parts.str[1].str.replace("_", " ").str.capitalize()
    return frame.assign(tissue=tissue, name=frame["name"].str.split(";").str[0].fillna(parts.str[0]))


def read_expression(path: str | Path) -> pd.DataFrame:
    """Read RNA-seq of protein-coding genes, in either layout.

    Up to 24Q2 the first column is the ModelID. Later files have a row a sequencing, with further columns for
    ids: of each line the entry that DepMap marks as its default is kept.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DataFrame, lines x genes, float32
        log2(TPM + 1). The index is the ModelID, the columns are gene symbols; of columns with the same
        symbol the one with the lowest Entrez number is kept, as in all matrices here.

    Raises
    ------
    InputError
        When the file is missing or damaged, has no lines or no genes, repeats one, or holds other values.
    """
    frame = _read_matrix(path)
    values = frame.to_numpy()
    _refuse(~((values >= 0) & (values <= MAX_LOG_TPM)), frame, path,
            f"log2(TPM + 1) lies between 0 and {MAX_LOG_TPM}")  # fmt: skip
    if values.max() <= 1:
        raise InputError(f"{path}: no value is above 1: these are probabilities of dependency, not expression: {MEND}")
    return frame


def read_dependency(path: str | Path) -> pd.DataFrame:
    """Read the probabilities of dependency (CRISPRGeneDependency.csv).

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DataFrame, lines x genes, float32
        0 to 1, NaN where not screened; otherwise as `read_expression`. The name of the index tells what
        identifies lines in the file: "ModelID" or "CCLEName" (see `to_model_ids`).

    Raises
    ------
    InputError
        As `read_expression`.
    """
    frame = _read_matrix(path)
    values = frame.to_numpy()
    _refuse((values < 0) | (values > 1), frame, path, "a probability of dependency lies between 0 and 1")
    if np.isnan(values).all():
        raise InputError(f"{path}: no cell holds a value: {MEND}")
    return frame


def read_effect(path: str | Path) -> pd.DataFrame:
    """Read gene effects (CRISPRGeneEffect.csv; gene_effect.csv in 2018).

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DataFrame, lines x genes, float32
        0 without effect, -1 the median of common essential genes; otherwise as `read_dependency`.

    Raises
    ------
    InputError
        As `read_expression`.
    """
    frame = _read_matrix(path)
    values = frame.to_numpy()
    _refuse(np.isinf(values), frame, path, "a gene effect is finite")
    if not (values < 0).any():
        raise InputError(f"{path}: no value is below 0: these are no gene effects (perhaps probabilities of "
                         f"dependency, or expression): {MEND}")  # fmt: skip
    return frame


def to_model_ids(frame: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """Name the lines of a matrix by ModelID.

    Parameters
    ----------
    frame : DataFrame, lines x genes
        As the readers here return it, by ModelID or by CCLE name.
    models : DataFrame
        As `read_models` returns it.

    Returns
    -------
    DataFrame
        Lines whose CCLE name is not in `models` keep it.
    """
    if frame.index.name != "CCLEName":
        return frame
    ids = models.dropna(subset="ccle_name").drop_duplicates("ccle_name", keep=False)
    known = pd.Series(ids.index, index=ids["ccle_name"])
    names = frame.index.to_series()
    return frame.set_axis(pd.Index(names.map(known).fillna(names), name="ModelID"))


def _read_matrix(path: str | Path) -> pd.DataFrame:
    """Read a matrix of lines x genes, float32, each line and each gene once."""
    header = _header(path)
    genes = _gene_columns(path, header)
    line = header.index("ModelID") if "ModelID" in header else 0
    if line in genes.index:
        raise InputError(f"{path}: the first column is the gene {header[0]!r} and there is no column 'ModelID': {MEND}")
    texts = [line, header.index(DEFAULT_ENTRY)] if DEFAULT_ENTRY in header else [line]
    table = _read_table(path, header, texts, list(genes.index))
    ids, values = table.column(0).to_pandas(), table.select(range(len(texts), table.num_columns)).to_pandas()
    if len(texts) > 1:
        default = table.column(1).to_pandas().str.lower().isin(["yes", "true", "1"])
        ids, values = ids[default], values[default]
    if not len(ids):
        raise InputError(f"{path}: holds no line{' that is a default entry' if len(texts) > 1 else ''}: {MEND}")
    return values.set_axis(_line_index(ids, path), axis=0).set_axis(pd.Index(genes, name="gene"), axis=1)


def _gene_columns(path: str | Path, header: list[str]) -> pd.Series:
    """Return the symbol of each gene by the position of its column, one column a symbol."""
    found = {at: match for at, name in enumerate(header) if (match := GENE.fullmatch(name))}
    if not found:
        raise InputError(f"{path}: no matrix of genes: no column is named like 'TP53 (7157)' "
                         f"(has {_some(header)}): {MEND}")  # fmt: skip
    dates = [name for name in header if (match := GENE.fullmatch(name)) and DATE.fullmatch(match["symbol"])]
    if dates:
        raise InputError(f"{path}: the column {dates[0]!r} is a date that a spreadsheet made of a gene: {MEND}")
    genes = pd.DataFrame([match.groupdict() for match in found.values()], index=list(found))
    twice = genes.duplicated()
    if twice.any():
        name = header[list(found)[int(twice.to_numpy().argmax())]]
        raise InputError(f"{path}: the column {name!r} is there twice: {MEND}")
    number = pd.to_numeric(genes["entrez"], errors="coerce")
    # The lowest number is the oldest entry, the gene that a symbol is known for; no number comes last.
    kept = genes.assign(number=number).sort_values("number", kind="stable").drop_duplicates("symbol")
    return kept["symbol"].sort_index()


def _read_table(path: str | Path, header: list[str], texts: list[int], numbers: list[int]) -> pa.Table:
    """Read columns by position: first those of text, then those of numbers, as float32."""
    types = {str(at): pa.string() for at in texts} | {str(at): pa.float32() for at in numbers}
    names = [str(at) for at in range(len(header))]
    try:
        return arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(column_names=names, skip_rows=1, block_size=BLOCK),
            convert_options=arrow_csv.ConvertOptions(include_columns=list(types), column_types=types),
        )
    except pa.ArrowInvalid as error:
        text = str(error)
        column = re.search(r"column #(\d+)", text)
        where = f"column {header[int(column[1])]!r}: " if column else ""
        comma = ": numbers need a decimal point, not a comma" if re.search(r"'-?\d+,\d+'", text) else ""
        raise InputError(f"{path}: {where}not a CSV table of numbers ({text[:150].strip()}){comma}: {MEND}") from error


def _line_index(ids: pd.Series, path: str | Path, among: Sequence[str] = tuple(LINE_IDS)) -> pd.Index:
    """Return ids of lines as an index whose name tells of which kind they are, or refuse them."""
    kinds = {name: ids.str.fullmatch(LINE_IDS[name]) for name in among}
    # Judged by most: one odd id among ModelIDs is a mistake, not another kind of file.
    kind = max(kinds, key=lambda name: int(kinds[name].fillna(False).sum()))
    odd = ~kinds[kind].fillna(False).astype(bool).to_numpy()
    if odd.any():
        found = ids.iloc[int(odd.argmax())]
        raise InputError(f"{path}: {found!r} in the column of lines is no {kind}, such as ACH-000001 or "
                         f"HL60_HAEMATOPOIETIC_AND_LYMPHOID_TISSUE: {MEND}")  # fmt: skip
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: the {kind} {repeated.iloc[0]!r} is there more than once: {MEND}")
    return pd.Index(ids, name=kind)


def _header(path: str | Path) -> list[str]:
    """Return the names of a CSV's columns; what is no CSV is refused here."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            header = next(csv.reader(handle), [])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): {MEND}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not text, perhaps still compressed or not in UTF-8: {MEND}") from error
    if not any(header):
        raise InputError(f"{path}: is empty: {MEND}")
    if header[0].lstrip().startswith("<"):
        raise InputError(f"{path}: is a web page, not a table (a download that was turned away?): {MEND}")
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        raise InputError(f"{path}: has semicolons or tabs between fields, as spreadsheets with decimal commas "
                         f"write, not commas: {MEND}")  # fmt: skip
    return header


def _refuse(bad: np.ndarray, frame: pd.DataFrame, path: str | Path, rule: str) -> None:
    """Raise an InputError that names the first bad value."""
    if bad.any():
        row, column = divmod(int(bad.argmax()), frame.shape[1])
        value = float(frame.to_numpy()[row, column])
        raise InputError(f"{path}: line {frame.index[row]!r}, gene {frame.columns[column]!r} is {value:g}, "
                         f"and {rule}: {MEND}")  # fmt: skip


def _some(names: Sequence[str]) -> str:
    """Return the first few names for a message."""
    return ", ".join(map(repr, names[:6])) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
