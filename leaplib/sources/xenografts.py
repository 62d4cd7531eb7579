"""The PDX Encyclopedia (Gao et al. 2015, doi:10.1038/nm.3954): expression of xenografts and how tumours responded."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd

from leaplib.sources.tabular import (
    DATE,
    Place,
    check_file,
    header_of,
    numbers,
    open_workbook,
    read_sheet,
    read_text_table,
    refuse_gaps,
    refuse_repeats,
    sheet_rows,
)
from leaplib.tasks import XENOGRAFT_DRUGS

DRUGS = XENOGRAFT_DRUGS
EXPRESSION, METRICS, VOLUMES = "RNAseq_fpkm", "PCT curve metrics", "PCT raw data"
ARMS = ["Model", "Treatment", "BestResponse"]
TYPE = "Tumor Type"
UNIT = "log2(FPKM+1)"
# The codes of the sheet, and the tissues as the Cell Model Passports name them.
TISSUES = {
    "BRCA": "Breast",
    "CM": "Skin",
    "CRC": "Large Intestine",
    "GC": "Stomach",
    "NSCLC": "Lung",
    "PDAC": "Pancreas",
}


@dataclass(frozen=True)
class Xenografts:
    """Expression of patient-derived xenografts and their response to drugs.

    Parameters
    ----------
    expression : DataFrame, PDX x genes, float32
        log2(FPKM + 1), of RNA-seq, each gene once; genes whose symbol a spreadsheet turned into a date are left out.
    response : DataFrame, PDX x drugs
        Minus the published BestResponse: minus the smallest change of the tumour volume (percent of the volume
        at the start) from day 10 on. High = the drug works: 100 is a tumour that vanished, -100 one that
        doubled. NaN where the PDX was not treated with the drug alone.
    samples : DataFrame
        Indexed by PDX, all of the above: tumor_type (code of the file), tissue (missing where unknown), and
        whether it has expression and response.
    data : {"real", "simulated"}
    """

    expression: pd.DataFrame
    response: pd.DataFrame
    samples: pd.DataFrame
    data: str = "real"


def read_pdx(path: str | Path, drugs: Sequence[str] = DRUGS) -> Xenografts:
    """Read the supplementary workbook of the PDX Encyclopedia (122 MB: a minute or more).

    Parameters
    ----------
    path : str or Path
        41591_2015_BFnm3954_MOESM10_ESM.xlsx. Read are the sheets "RNAseq_fpkm" (genes x PDX, genes in the column
        "Sample"), "PCT curve metrics" (Model, Treatment, BestResponse) and, unless the latter has a column
        "Tumor Type", that column of "PCT raw data".
    drugs : sequence of str
        Drugs to read, in any case; arms that combine them with others do not count.

    Returns
    -------
    Xenografts

    Raises
    ------
    InputError
        When the file is missing or no workbook, lacks a sheet or column, names a PDX, gene or arm twice, holds a
        value that is no number (or a negative FPKM), or has no arm with one of the drugs alone.
    """
    place = Place(Path(path), "pdxe")
    with open_workbook(place) as book:
        response = _response(read_sheet(book, METRICS, place, ARMS), drugs, place.within(f"sheet {METRICS!r}"))
        types = _tumour_types(book, place)
        expression = _expression(book, place)
    return Xenografts(expression, response, _samples(expression, response, types))


def read_pdx_response(path: str | Path, drugs: Sequence[str] = DRUGS) -> pd.DataFrame:
    """Read the responses alone, from the workbook or from its sheet "PCT curve metrics" as tab-separated text.

    Parameters
    ----------
    path : str or Path
        The workbook, or nm.3954-S2_PCT_curve_metrics_common_samples.txt.
    drugs : sequence of str

    Returns
    -------
    DataFrame, PDX x drugs
        As `Xenografts.response`.

    Raises
    ------
    InputError
        As `read_pdx`.
    """
    place = Place(Path(path), "pdxe")
    if not check_file(place).startswith(b"PK"):
        return _response(read_text_table(place, ARMS, sep="\t"), drugs, place)
    with open_workbook(place) as book:
        return _response(read_sheet(book, METRICS, place, ARMS), drugs, place.within(f"sheet {METRICS!r}"))


def _response(arms: pd.DataFrame, drugs: Sequence[str], place: Place) -> pd.DataFrame:
    """Return minus BestResponse of the arms with one of the drugs alone, PDX x drugs."""
    refuse_gaps(arms, ["Model", "Treatment"], place)
    # Combinations are spelled "BYL719 + cetuximab"; one name has lost its opening quotation mark.
    arms = arms.assign(drug=arms["Treatment"].str.strip('"').str.casefold())
    for drug in drugs:
        if not (arms["drug"] == drug.casefold()).any():
            raise place.error(f"column 'Treatment': no arm with {drug!r} alone", "check the name of the drug")
    arms = arms[arms["drug"].isin([drug.casefold() for drug in drugs])]
    refuse_repeats(arms, ["Model", "drug"], place)
    change = numbers(arms, "BestResponse", place, low=-100)
    wide = pd.DataFrame({"pdx": arms["Model"], "drug": arms["drug"], "value": -change})
    wide = wide.pivot(index="pdx", columns="drug", values="value")
    wide = wide[[drug.casefold() for drug in drugs]]
    return wide.set_axis(pd.Index(list(drugs), name="drug"), axis=1)


def _tumour_types(book: openpyxl.Workbook, place: Place) -> pd.Series:
    """Return the code of the tumour type by PDX, from the first sheet that states it."""
    states = METRICS in book.sheetnames and TYPE in header_of(book, METRICS, place)
    sheet = METRICS if states else VOLUMES
    types = read_sheet(book, sheet, place, ["Model", TYPE]).dropna().drop_duplicates()
    twice = types["Model"].duplicated()
    if twice.any():
        row = types.index[int(twice.to_numpy().argmax())]
        problem = f"row {row}, column {TYPE!r}: {types.loc[row, 'Model']} has two tumour types"
        raise place.within(f"sheet {sheet!r}").error(problem)
    return types.set_index("Model")[TYPE]


def _expression(book: openpyxl.Workbook, place: Place) -> pd.DataFrame:
    """Return log2(FPKM + 1), PDX x genes."""
    header = header_of(book, EXPRESSION, place)
    place = place.within(f"sheet {EXPRESSION!r}")
    models = pd.Index([name for name in header[1:] if name], name="pdx")
    if header[:1] != ["Sample"] or not len(models):
        raise place.error(f"the first column is {(header or [''])[0]!r}, not 'Sample' with a column a PDX after it")
    if not all(header[1 : len(models) + 1]):  # values would go to the next PDX
        raise place.error(f"column {header.index('') + 1} has no name")
    if models.has_duplicates:
        raise place.error(f"the PDX {models[models.duplicated()][0]!r} is there twice")
    rows = sheet_rows(book, EXPRESSION, place)
    next(rows)
    values = {}
    for number, row in enumerate(rows, start=2):
        gene = _gene(row[0]) if row else None
        if gene in values:
            raise place.error(f"row {number}: the gene {gene!r} is there twice")
        if gene:
            values[gene] = _fpkm(row[1 : len(models) + 1], gene, number, models, place)
    if not values:
        raise place.error("holds no gene")
    logs = np.log2(np.array(list(values.values())).T + 1).astype(np.float32)
    return pd.DataFrame(logs, index=models, columns=pd.Index(list(values), name="gene"))


def _gene(cell: object) -> str | None:
    """Return a gene's symbol, None where there is none or a date has taken its place."""
    if cell is None or isinstance(cell, datetime.date):
        return None
    symbol = str(cell).strip()
    return None if not symbol or DATE.fullmatch(symbol) else symbol


def _fpkm(cells: Sequence[object], gene: str, row: int, models: pd.Index, place: Place) -> np.ndarray:
    """Return the FPKM of a gene; refuse what is no number from 0 up, by PDX."""
    values = np.asarray(pd.to_numeric(np.array(cells, dtype=object), errors="coerce"), dtype=float)
    if len(values) == len(models) and (values >= 0).all() and np.isfinite(values).all():
        return values
    padded = [*cells, *[None] * (len(models) - len(cells))]
    table = pd.DataFrame({gene: pd.Series(padded, dtype=object)})
    table.index = pd.Index([f"{row} (PDX {model})" for model in models])
    # Slower, and it names the first cell that is no number from 0 up.
    return numbers(table, gene, place, 0).to_numpy()


def _samples(expression: pd.DataFrame, response: pd.DataFrame, types: pd.Series) -> pd.DataFrame:
    """Describe the PDX that have expression or a response."""
    models = expression.index.union(response.index).rename("pdx")
    frame = pd.DataFrame(index=models)
    frame["tumor_type"] = types.reindex(models)
    frame["tissue"] = frame["tumor_type"].map(TISSUES)
    frame["expression"] = models.isin(expression.index)
    frame["response"] = models.isin(response.index)
    return frame
