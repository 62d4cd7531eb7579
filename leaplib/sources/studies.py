"""The drug studies' responses: as a PSet where one is there, else the table that the study's provider publishes.

Each reader returns one row a measurement with the columns of `DrugScreen.responses`: study, line, drug (names
of the file) and aac, the area above the dose-response curve as a share of the largest possible one (0 = no
effect, 1 = full effect at all doses). In PSets it is that (`leaplib/sources/psets.py`); the tables state
different areas:

GDSC    area under the curve over the tested doses, 0 to 1: aac = 1 - AUC.
CCLE    activity area, a sum over eight doses, 0 to 8: aac = ActArea / 8.
PRISM   mean viability over the tested doses, above 1 where lines grow faster: aac = 1 - auc.
CTRP    area under viability against log2 dose, about 15 without effect: aac = 1 - area / 15. This is an
        approximation, since the range of doses, and so the area without effect, differs between compounds;
        PharmacoGx integrates the curves anew instead.

What falls a little outside 0 to 1 is clipped, a file in another unit refused. Repeats (several drug ids, batches or
experiments) are kept.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources import manifest
from leaplib.sources.psets import read_pset_responses
from leaplib.sources.tabular import (
    Place,
    numbers,
    open_workbook,
    parse_table,
    read_sheet,
    read_text_table,
    read_zip_members,
    refuse_gaps,
    refuse_repeats,
)

GDSC_STUDIES = {"GDSC1": "GDSC v1", "GDSC2": "GDSC v2"}
GDSC_COLUMNS = ["DATASET", "CELL_LINE_NAME", "SANGER_MODEL_ID", "DRUG_ID", "DRUG_NAME", "AUC"]
CCLE_LINE = "Primary Cell Line Name"
CCLE_COLUMNS = ["CCLE Cell Line Name", CCLE_LINE, "Compound", "ActArea"]
CCLE_DOSES = 8
CCLE_AREAS = -1, CCLE_DOSES + 1  # all areas of the published file lie within 0 and 7.8
PRISM_COLUMNS = ["broad_id", "depmap_id", "screen_id", "auc", "name", "smiles", "passed_str_profiling"]
# MTS010 repeats drugs of HTS002 in a better assay, and DepMap takes it where it is there; the others lie between.
PRISM_SCREENS = ["MTS010", "MTS006", "MTS005", "HTS002"]
CTRP_CURVES = "v20.data.curves_post_qc.txt"
CTRP_MEMBERS = {
    CTRP_CURVES: ["experiment_id", "master_cpd_id", "area_under_curve"],
    "v20.meta.per_experiment.txt": ["experiment_id", "master_ccl_id"],
    "v20.meta.per_cell_line.txt": ["master_ccl_id", "ccl_name"],
    "v20.meta.per_compound.txt": ["master_cpd_id", "cpd_name", "cpd_smiles"],
}
CTRP_AREA = 15.0  # without effect
# Where the median of a screen's areas lies, since most drugs do little in most lines: far from it is another unit.
MEDIAN_AREAS = {"auc": (0.1, 2), "area_under_curve": (2, 40)}
CTRP_MIXTURE = "mol/mol"  # in names such as "navitoclax:PLX-4032 (1:1 mol/mol)"


def read_studies(studies: Sequence[str] = ("GDSC v2", "GDSC v1", "CCLE", "CTRP")) -> pd.DataFrame:
    """Read several studies from their places below data/raw into one table.

    Parameters
    ----------
    studies : sequence of {"GDSC v2", "GDSC v1", "CCLE", "CTRP", "PRISM"}
        The first that measured a line and drug has priority in the paper; here all rows are kept, in this order.

    Returns
    -------
    DataFrame
        study, line, drug, aac. Each study is read from its first source that is there, see `available`.

    Raises
    ------
    InputError
        When a study is unknown, none of its files is there, or the one that is cannot be used; names the file
        and the command.
    """
    if not studies:
        raise InputError(f"no study is named: use some of {', '.join(READERS)}")
    frames = []
    for study in studies:
        source = available(study)
        if source is None:
            ways = [f"`leap data fetch {name}` for {manifest.get_source(name).target}" for name in READERS[study]]
            raise InputError(f"study {study!r} has no file: run {' or '.join(ways)}, or put one of them there by hand")
        frames.append(READERS[study][source](manifest.path(source)))
    return pd.concat(frames, ignore_index=True)


def available(study: str) -> str | None:
    """Return the source, by its name in the manifest, that a study is read from.

    Parameters
    ----------
    study : {"GDSC v2", "GDSC v1", "CCLE", "CTRP", "PRISM"}

    Returns
    -------
    str or None
        The PSet if its file lies in data/raw, else the study's own table if that does.

    Raises
    ------
    InputError
        When the study is unknown.
    """
    if study not in READERS:
        raise InputError(f"study {study!r} is unknown: use some of {', '.join(READERS)}")
    return next((source for source in READERS[study] if manifest.get_source(source).target.is_file()), None)


def _tidy(study: str, line: pd.Series, drug: pd.Series, aac: pd.Series) -> pd.DataFrame:
    """Return the four columns, with aac clipped and rows numbered anew."""
    frame = pd.DataFrame({"study": study, "line": line, "drug": drug, "aac": aac.clip(0, 1)})
    return frame.reset_index(drop=True)


def _areas(frame: pd.DataFrame, column: str, place: Place) -> pd.Series:
    """Return areas from 0 up; refuse another unit, such as percent."""
    values, (low, high) = numbers(frame, column, place, 0), MEDIAN_AREAS[column]
    if not low <= values.median() <= high:
        raise place.error(f"column {column!r}: the median is {values.median():g}, in the published file between "
                          f"{low:g} and {high:g}: another unit")  # fmt: skip
    return values


def read_gdsc(path: str | Path, dataset: str) -> pd.DataFrame:
    """Read the fitted dose responses of GDSC (xlsx; some seconds per 100,000 rows).

    Parameters
    ----------
    path : str or Path
        GDSC1_fitted_dose_response_27Oct23.xlsx or GDSC2_fitted_dose_response_27Oct23.xlsx, first sheet.
    dataset : {"GDSC1", "GDSC2"}
        Which of the two it shall be.

    Returns
    -------
    DataFrame
        study ("GDSC v1" | "GDSC v2"), line (CELL_LINE_NAME), drug (DRUG_NAME), aac = 1 - AUC.

    Raises
    ------
    InputError
        When the file is missing, no workbook, that of the other data set, lacks a column, repeats a row,
        or holds an AUC that is no number from 0 to 1; names file, row and column.
    """
    place = Place(Path(path), f"{dataset.lower()}-8.5")
    if dataset not in GDSC_STUDIES:
        raise place.error(f"data set {dataset!r} is unknown", f"use one of {', '.join(GDSC_STUDIES)}")
    with open_workbook(place) as book:
        frame = read_sheet(book, book.sheetnames[0], place, GDSC_COLUMNS)
    other = frame["DATASET"] != dataset
    if other.any():
        row = frame.index[int(other.to_numpy().argmax())]
        raise place.error(f"row {row}, column 'DATASET': {frame.loc[row, 'DATASET']!r} instead of {dataset!r}")
    refuse_gaps(frame, ["CELL_LINE_NAME", "DRUG_NAME"], place)
    refuse_repeats(frame, GDSC_COLUMNS, place)
    aac = 1 - numbers(frame, "AUC", place, 0, 1)
    return _tidy(GDSC_STUDIES[dataset], frame["CELL_LINE_NAME"], frame["DRUG_NAME"], aac)


def read_ccle(path: str | Path) -> pd.DataFrame:
    """Read the drug responses of CCLE (csv of 2015-02-24).

    Parameters
    ----------
    path : str or Path
        CCLE_NP24.2009_Drug_data_2015.02.24.csv.

    Returns
    -------
    DataFrame
        study ("CCLE"), line (Primary Cell Line Name), drug (Compound), aac = ActArea / 8.

    Raises
    ------
    InputError
        When the file is missing or no such table, lacks a column, repeats a line and compound, or holds an
        activity area that is no number; names file, row and column.
    """
    place = Place(Path(path), "ccle-response")
    frame = read_text_table(place, CCLE_COLUMNS)
    refuse_gaps(frame, [CCLE_LINE, "Compound"], place)
    refuse_repeats(frame, ["CCLE Cell Line Name", "Compound"], place)
    return _tidy(
        "CCLE", frame[CCLE_LINE], frame["Compound"], numbers(frame, "ActArea", place, *CCLE_AREAS) / CCLE_DOSES
    )


def read_prism(path: str | Path) -> pd.DataFrame:
    """Read the PRISM Repurposing secondary screen (csv).

    Lines that failed the STR profiling are left out, and so are rows without a name of the drug or a fitted
    auc. Where several screens tested a line and drug, the first of `PRISM_SCREENS` counts (an unknown screen
    comes last); several batches within it are kept.

    Parameters
    ----------
    path : str or Path
        secondary-screen-dose-response-curve-parameters.csv.

    Returns
    -------
    DataFrame
        study ("PRISM"), line (depmap_id, "ACH-000001"), drug (name), aac = 1 - auc, clipped to 0 to 1.

    Raises
    ------
    InputError
        When the file is missing or no such table, lacks a column, repeats a row, holds an auc that is no
        number from 0 up, or no line passed; names file, row and column.
    """
    place, frame = _prism(path)
    auc = _areas(frame, "auc", place)
    rank = frame["screen_id"].map({screen: rank for rank, screen in enumerate(PRISM_SCREENS)})
    rank = rank.fillna(len(PRISM_SCREENS))
    best = rank == rank.groupby([frame["depmap_id"], frame["name"]]).transform("min")
    return _tidy("PRISM", frame.loc[best, "depmap_id"], frame.loc[best, "name"], 1 - auc[best])


def read_prism_smiles(path: str | Path) -> pd.Series:
    """Read the structures of the drugs of PRISM.

    Parameters
    ----------
    path : str or Path
        As for `read_prism`.

    Returns
    -------
    Series
        SMILES by drug; the first one where the file lists several, as it does for drugs of several batches.

    Raises
    ------
    InputError
        As `read_prism`.
    """
    _, frame = _prism(path)
    known = frame.dropna(subset="smiles").drop_duplicates("name").set_index("name")["smiles"]
    return known.str.split(",").str[0].str.strip().rename_axis("drug")


def _prism(path: str | Path) -> tuple[Place, pd.DataFrame]:
    """Return the rows of PRISM that are measurements of lines which passed."""
    place = Place(Path(path), "prism-response")
    frame = read_text_table(place, PRISM_COLUMNS)
    frame = frame[frame["passed_str_profiling"].str.upper() == "TRUE"]
    frame = frame.dropna(subset=["depmap_id", "name", "auc"])
    if frame.empty:
        raise place.error("column 'passed_str_profiling': no measured row says TRUE")
    refuse_repeats(frame, ["broad_id", "depmap_id", "screen_id", "name", "auc"], place)
    return place, frame


def read_ctrp(path: str | Path) -> pd.DataFrame:
    """Read the responses of CTRP v2 out of its zip archive, without unpacking it.

    Mixtures of two compounds ("mol/mol" in the name) are left out: a drug has one structure.

    Parameters
    ----------
    path : str or Path
        CTRPv2.0_2015_ctd2_ExpandedDataset.zip.

    Returns
    -------
    DataFrame
        study ("CTRP"), line (ccl_name), drug (cpd_name), aac = 1 - area_under_curve / 15, clipped to 0 to 1:
        an approximation, see above.

    Raises
    ------
    InputError
        When the archive is missing or damaged, lacks a file or column, repeats a curve, refers to an experiment,
        line or compound that it does not describe, or holds an area that is no number from 0 up.
    """
    place, tables = _ctrp(path)
    curves, experiments, lines, compounds = (tables[name] for name in CTRP_MEMBERS)
    where = place.within(CTRP_CURVES)
    refuse_gaps(curves, CTRP_MEMBERS[CTRP_CURVES], where)
    refuse_repeats(curves, CTRP_MEMBERS[CTRP_CURVES], where)
    area = _areas(curves, "area_under_curve", where)
    drug = _translate(curves, "master_cpd_id", compounds, "cpd_name", where)
    names = _translate(experiments, "master_ccl_id", lines, "ccl_name", place.within("v20.meta.per_experiment.txt"))
    line = _translate(curves, "experiment_id", experiments.assign(line=names), "line", where)
    single = ~drug.str.contains(CTRP_MIXTURE, regex=False)
    return _tidy("CTRP", line[single], drug[single], 1 - area[single] / CTRP_AREA)


def read_ctrp_smiles(path: str | Path) -> pd.Series:
    """Read the structures of the compounds of CTRP v2, mixtures left out.

    Parameters
    ----------
    path : str or Path
        As for `read_ctrp`.

    Returns
    -------
    Series
        SMILES by drug.

    Raises
    ------
    InputError
        As `read_ctrp` for the archive.
    """
    compounds = _ctrp(path)[1]["v20.meta.per_compound.txt"].dropna(subset=["cpd_name", "cpd_smiles"])
    single = compounds[~compounds["cpd_name"].str.contains(CTRP_MIXTURE, regex=False)].drop_duplicates("cpd_name")
    return single.set_index("cpd_name")["cpd_smiles"].rename("smiles").rename_axis("drug")


def _ctrp(path: str | Path) -> tuple[Place, dict[str, pd.DataFrame]]:
    """Return the tables of CTRP by the name of the member."""
    place = Place(Path(path), "ctrp-v2")
    members = read_zip_members(place, list(CTRP_MEMBERS))
    return place, {
        name: parse_table(members[name], place.within(name), columns, "\t") for name, columns in CTRP_MEMBERS.items()
    }


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
        row = frame.index[int(np.asarray(found.isna()).argmax())]
        raise place.error(f"row {row}, column {key!r}: {frame.loc[row, key]} has no {value!r} in the archive")
    return found


# By study: its sources in the manifest, the first of which counts, and their readers.
READERS: dict[str, dict[str, Callable[[Path], pd.DataFrame]]] = {
    "GDSC v2": {
        "pset-gdsc2": partial(read_pset_responses, study="GDSC v2"),
        "gdsc2-8.5": partial(read_gdsc, dataset="GDSC2"),
    },
    "GDSC v1": {
        "pset-gdsc1": partial(read_pset_responses, study="GDSC v1"),
        "gdsc1-8.5": partial(read_gdsc, dataset="GDSC1"),
    },
    "CCLE": {"pset-ccle": partial(read_pset_responses, study="CCLE"), "ccle-response": read_ccle},
    "CTRP": {"pset-ctrpv2": partial(read_pset_responses, study="CTRP"), "ctrp-v2": read_ctrp},
    "PRISM": {"pset-prism": partial(read_pset_responses, study="PRISM"), "prism-response": read_prism},
}
