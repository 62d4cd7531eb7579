"""The Cell Model Passports list: names, synonyms, tissues and identifiers of cell lines."""

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources.manifest import path
from leaplib.sources.wheels import read_csv

MEMBER = "crispy/data/model_list_20200204.csv"
COLUMNS = {
    "model_name": "name",
    "model_id": "model_id",
    "BROAD_ID": "depmap_id",
    "COSMIC_ID": "cosmic_id",
    "CCLE_ID": "ccle_id",
    "tissue": "tissue",
    "cancer_type": "cancer_type",
    "cancer_type_detail": "cancer_type_detail",
    "synonyms": "synonyms",
    "drug_data": "screened",
}
BLOOD = "Haematopoietic and Lymphoid"
MYELOID = ("Acute Myeloid Leukemia", "Chronic Myelogenous Leukemia")
MYELOID_DETAILS = ("Acute Biphenotypic Leukemia",)


def read_passports() -> pd.DataFrame:
    """Read the list of 2020-02-04 out of the wheel `cy`.

    Returns
    -------
    DataFrame, one row a model (1,780)
        The index `line` is the model's name, made unique (see `_unique_names`). Columns: name; model_id
        ("SIDM01132"); depmap_id ("ACH-000001"); cosmic_id, ccle_id (text); tissue (blood split by
        `split_blood`, missing where unknown); cancer_type, cancer_type_detail; synonyms (list of str);
        screened (whether GDSC tested drugs on it). Text columns have missing values.

    Raises
    ------
    InputError
        When the wheel is missing or damaged, or the list lacks a column or repeats a model_id.
    """
    archive = path("cy")
    frame = read_csv(archive, MEMBER, list(COLUMNS)).rename(columns=COLUMNS)
    frame = frame.apply(lambda column: column.str.strip())
    repeated = frame["model_id"].isna() | frame["name"].isna() | frame["model_id"].duplicated()
    if repeated.any():
        row = int(repeated.to_numpy().argmax())
        raise InputError(f"{archive}: {MEMBER}: row {row + 2} has no name, or no or a repeated model_id "
                         f"({frame['model_id'].iloc[row]}): get the file anew")  # fmt: skip
    frame["synonyms"] = [text.split(";") if isinstance(text, str) else [] for text in frame["synonyms"]]
    frame["screened"] = frame["screened"] == "True"
    frame["depmap_id"] = frame["depmap_id"].str.replace(";.*", "", regex=True)  # one entry repeats its own id
    frame["tissue"] = split_blood(frame)
    frame.index = _unique_names(frame)
    return frame


def split_blood(lines: pd.DataFrame) -> pd.Series:
    """Split the tissue "Haematopoietic and Lymphoid" into "Lymphoid" and "Myeloid".

    The rule, by cancer type: acute myeloid and chronic myelogenous leukaemia are Myeloid; lymphoblastic
    leukaemias, lymphomas (B, T, Burkitt, Hodgkin) and plasma cell myeloma are Lymphoid. "Other Blood
    Carcinomas" go by their detail: biphenotypic leukaemia, which is of both, is Myeloid, where DepMap puts
    MY-M12, the one such line of GDSC; chronic lymphocytic and hairy cell leukaemia, NK-cell and anaplastic
    lymphomas are Lymphoid. "Non-Cancerous" blood lines are lymphoblastoid B cells (immortalised by
    Epstein-Barr virus): Lymphoid. The cancer type decides even where the detail disagrees with it.

    Parameters
    ----------
    lines : DataFrame
        With columns tissue, cancer_type, cancer_type_detail.

    Returns
    -------
    Series
        Tissue; missing where the list says "Unknown".
    """
    blood = lines["tissue"] == BLOOD
    myeloid = lines["cancer_type"].isin(MYELOID) | (
        (lines["cancer_type"] == "Other Blood Carcinomas") & lines["cancer_type_detail"].isin(MYELOID_DETAILS)
    )
    tissue = lines["tissue"].mask(blood & myeloid, "Myeloid").mask(blood & ~myeloid, "Lymphoid")
    return tissue.mask(tissue == "Unknown", None)


def _unique_names(lines: pd.DataFrame) -> pd.Index:
    """Return the names, with the model_id added where two models share one.

    Two names occur twice, ML-1 (thyroid, blood) and MS-1 (lung, skin). Of such a pair the model that GDSC
    screened keeps the plain name, if it is the only one.
    """
    shared = lines["name"].duplicated(keep=False)
    screened = lines.groupby("name")["screened"].transform("sum")
    plain = ~shared | (lines["screened"] & (screened == 1))
    return pd.Index(lines["name"].where(plain, lines["name"] + " (" + lines["model_id"] + ")"), name="line")
