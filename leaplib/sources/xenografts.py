"""The PDX Encyclopedia (Gao et al. 2015, doi:10.1038/nm.3954): expression of xenografts and how tumours responded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.sources import tabular
from leaplib.sources.genes import name_genes, no_gene
from leaplib.sources.tabular import FORMATS, Place
from leaplib.tasks import XENOGRAFT_DRUGS

EXPRESSION, METRICS, VOLUMES = "RNAseq_fpkm", "PCT curve metrics", "PCT raw data"
TYPE = "Tumor Type"


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


def read_pdx(path: str | Path, drugs: Sequence[str] = XENOGRAFT_DRUGS) -> Xenografts:
    """Read the supplementary workbook of the PDX Encyclopedia (122 MB: a minute or more).

    Parameters
    ----------
    path : str or Path
        41591_2015_BFnm3954_MOESM10_ESM.xlsx. Read are the sheets "RNAseq_fpkm" (genes x PDX, genes in the column
        "Sample"), "PCT curve metrics" (Model, Treatment, BestResponse) and, unless the latter has a column
        "Tumor Type", that column of "PCT raw data".
    drugs : sequence of str
        Drugs to read, in any case; arms that combine them with others do not count.
    """
    place = Place(Path(path), "pdxe")
    with tabular.open_workbook(place) as book:
        arms = tabular.read_sheet(book, METRICS, place, ["Model", "Treatment", "BestResponse"])
        response = _response(arms, drugs, place.within(f"sheet {METRICS!r}"))
        sheet = METRICS if TYPE in tabular.header_of(tabular.read_cells(book, METRICS, place)) else VOLUMES
        kinds = _tumour_types(tabular.read_sheet(book, sheet, place, ["Model", TYPE]), place.within(f"sheet {sheet!r}"))
        expression = _expression(tabular.read_cells(book, EXPRESSION, place), place.within(f"sheet {EXPRESSION!r}"))
    models = expression.index.union(response.index).rename("pdx")
    kinds = kinds.reindex(models)
    samples = pd.DataFrame({"tumor_type": kinds, "tissue": kinds.map(FORMATS["tissues"])})
    samples = samples.assign(expression=models.isin(expression.index), response=models.isin(response.index))
    return Xenografts(expression, response, samples)


def _response(arms: pd.DataFrame, drugs: Sequence[str], place: Place) -> pd.DataFrame:
    """Return minus BestResponse of the arms with one of the drugs alone, PDX x drugs."""
    tabular.refuse_gaps(arms, ["Model", "Treatment"], place)
    # Combinations are spelled "BYL719 + cetuximab"; one name has lost its opening quotation mark.
    arms = arms.assign(drug=arms["Treatment"].str.strip('"').str.casefold())
    for drug in drugs:
        if not (arms["drug"] == drug.casefold()).any():
            raise place.error(f"column 'Treatment': no arm with {drug!r} alone", "check the name of the drug")
    arms = arms[arms["drug"].isin([drug.casefold() for drug in drugs])]
    tabular.refuse_repeats(arms, ["Model", "drug"], place)
    arms = arms.assign(value=-tabular.numbers(arms, "BestResponse", place, low=-100))
    wide = arms.pivot(index="Model", columns="drug", values="value").rename_axis("pdx")
    wide = wide[[drug.casefold() for drug in drugs]]
    return wide.set_axis(pd.Index(list(drugs), name="drug"), axis=1)


def _tumour_types(table: pd.DataFrame, place: Place) -> pd.Series:
    """Return the code of the tumour type by PDX."""
    kinds = table.dropna().drop_duplicates()
    twice = kinds["Model"].duplicated()
    if twice.any():
        row = tabular.first(twice)
        raise place.error(f"row {row}, column {TYPE!r}: {kinds.loc[row, 'Model']} has two tumour types")
    return kinds.set_index("Model")[TYPE]


def _expression(cells: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return log2(FPKM + 1), PDX x genes."""
    header = tabular.header_of(cells)
    while header and not header[-1]:
        header.pop()
    models = pd.Index(header[1:], name="pdx")
    if header[:1] != ["Sample"] or models.empty:
        raise place.error(f"the first column is {(header or [''])[0]!r}, not 'Sample' with a column a PDX after it")
    if "" in models:  # values would go to the next PDX
        raise place.error(f"column {header.index('') + 1} has no name")
    if models.has_duplicates:
        raise place.error(f"the PDX {models[models.duplicated()][0]!r} is there twice")
    table = cells.iloc[1:, : len(header)].set_axis(header, axis=1)
    symbols = table["Sample"].astype(str).str.strip()
    table = table[[bool(text) and not no_gene(text) for text in symbols]]
    if table.empty:
        raise place.error("holds no gene")
    genes = name_genes(table["Sample"], place)
    fpkm = table[models].iloc[genes.at].set_axis(genes.names).T.rename_axis("pdx")
    values = fpkm.apply(pd.to_numeric, errors="coerce").astype(float)
    bad = ~((values >= 0) & (values < np.inf)).to_numpy()
    tabular.refuse_cells(bad, fpkm, place, "an FPKM is a number from 0 up, with a decimal point")
    return np.log2(values + 1).astype(np.float32)
