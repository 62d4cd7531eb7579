"""PharmacoSets (PSets): drug studies as PharmacoGx curates them, one .rds file of R for each study.

https://doi.org/10.1093/bioinformatics/btv723; the files are published by ORCESTRA. Their curves are fitted anew in one
way for all studies, and lines and drugs bear one name in all of them ("NCI-H2029"), which a study's own table does not.

A PSet is an S4 object. Two generations of names are read: the slots sample, treatment and treatmentResponse with
the columns sampleid and treatmentid (since 2022), and cell, drug and sensitivity with cellid and drugid. The
published files could not be tried: the reader is written after the documented classes, and tested on small files of
both generations that the tests write.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources.rds import Node, read_rds
from leaplib.sources.tabular import Place, check_columns, numbers, refusing_damage

# By study: the source in the manifest, and what the name in the PSet's annotation is like.
PSETS = {
    "GDSC v2": ("pset-gdsc2", r"GDSC(_20\d\d)?[ _(]*v?2(?!\d).*"),
    "GDSC v1": ("pset-gdsc1", r"GDSC(_20\d\d)?[ _(]*v?1(?!\d).*"),
    "CCLE": ("pset-ccle", r"CCLE.*"),
    "CTRP": ("pset-ctrpv2", r"CTRP(_?v2.*)?"),
    "PRISM": ("pset-prism", r"PRISM.*"),
}
RESPONSES, SAMPLES, DRUGS = ("treatmentResponse", "sensitivity"), ("sample", "cell"), ("treatment", "drug")
LINE_IDS, DRUG_IDS = ("sampleid", "cellid"), ("treatmentid", "drugid")
AAC = "aac_recomputed"
PERCENT_SHARE = 0.1  # of the values lie above 1 in percent: in published screens most do, as fractions none
ROUNDING = 0.01  # how far beyond 0 and 1 a fitted area may lie
NO_PSET = "no PharmacoSet that can be read"
MIXTURE = re.compile(r"///|mol/mol", re.IGNORECASE)  # two drugs given together
IDENTIFIER = re.compile(r"id$|name|accession|cosmic|unique", re.IGNORECASE)
SMILES = re.compile(r"(?:.*[._])?smiles", re.IGNORECASE)
RNASEQ = "Kallisto_0.46.1.rnaseq"
SYMBOLS = ("gene_name", "Symbol")
PSEUDOCOUNT = 0.001  # PharmacoGx takes log2(TPM + 0.001)
MAX_LOG_TPM = 20  # TPM add up to a million: log2(1e6) is 19.93


@dataclass(frozen=True)
class PSet:
    """What a PSet holds of a study.

    Parameters
    ----------
    responses : DataFrame
        study, line, drug, aac (0 to 1); one row an experiment, repeats kept.
    samples : DataFrame
        Indexed by line, all of the above and below. Columns are those of the file that identify a line, as
        text: always tissueid, mostly Cellosaurus.Accession.id, COSMIC.identifier, PharmacoDB.id or depmap_id,
        and names in other files.
    smiles : Series
        SMILES by drug, of all drugs; missing where unknown. The first one where the file lists several.
    expression : DataFrame, lines x genes, float32, or None
        log2(TPM + 1); None where the file has no RNA-seq.
    """

    responses: pd.DataFrame
    samples: pd.DataFrame
    smiles: pd.Series
    expression: pd.DataFrame | None


def read_pset(path: str | Path, study: str) -> PSet:
    """Read a PSet.

    The file is unpacked in memory as a whole. Nothing in it is executed.

    Parameters
    ----------
    path : str or Path
        GDSC1.rds, GDSC2.rds, CCLE.rds, CTRPv2.rds or PRISM.rds.
    study : {"GDSC v2", "GDSC v1", "CCLE", "CTRP", "PRISM"}
        Which study it shall be; the name in the file must fit.

    Returns
    -------
    PSet
        Responses are as of `read_pset_responses`. Expression is that of Kallisto, given as
        log2(TPM + 0.001): the mean over a line's runs, and of genes with the same symbol (copies on other
        contigs, mostly silent) the one with the highest mean over lines.

    Raises
    ------
    InputError
        As `read_pset_responses`, and when a table of lines, drugs or genes lacks a column or does not fit,
        or expression has another unit.
    """
    pset = _open(path, study)
    with refusing_damage(pset.place, NO_PSET):
        responses, expression = _responses(pset, study), _expression(pset)
        lines = set(responses["line"]) | (set() if expression is None else set(expression.index))
        return PSet(responses, _samples(pset, lines), _smiles(pset, set(responses["drug"])), expression)


def read_pset_responses(path: str | Path, study: str) -> pd.DataFrame:
    """Read the responses of a PSet alone.

    Parameters
    ----------
    path, study
        As for `read_pset`.

    Returns
    -------
    DataFrame
        study, line, drug, aac: the area above the curve that PharmacoGx fitted (aac_recomputed), as a share
        of the largest possible one. Files state it as a fraction or in percent; which one shows in the values.
        Experiments without an area (left out as noisy), line or drug, and mixtures of drugs, are left out.

    Raises
    ------
    InputError
        When the file is missing, damaged, no PSet or that of another study, lacks a slot or column, or holds
        an area that fits neither a fraction nor a percentage.
    """
    pset = _open(path, study)
    with refusing_damage(pset.place, NO_PSET):
        return _responses(pset, study)


def _open(path: str | Path, study: str) -> Node:
    """Return the PSet in a file; refuse another object and another study."""
    if study not in PSETS:
        raise InputError(f"{path}: there is no PSet of study {study!r}: use one of {', '.join(PSETS)}")
    source, wanted = PSETS[study]
    pset = read_rds(Place(Path(path), source))
    with refusing_damage(pset.place, NO_PSET):
        if "PharmacoSet" not in pset.classes:
            raise pset.place.error(f"holds no PharmacoSet but an object of R's {' '.join(pset.classes) or pset.kind}")
        name = pset.child("annotation").child("name")
        found = str(name.vector()[0]) if len(name.vector()) else ""
        if not re.fullmatch(wanted, found):
            raise name.place.error(f"the PSet is {found!r}, not that of {study}")
    return pset


def _responses(pset: Node, study: str) -> pd.DataFrame:
    """Return the responses with their canonical columns."""
    experiments = pset.child(*RESPONSES)
    if experiments.kind != "VEC":
        kind = " ".join(experiments.classes) or experiments.kind
        raise experiments.place.error(f"is a {kind}, not the list of info and profiles that is read here")
    info, profiles = experiments.child("info"), experiments.child("profiles")
    ids = _unique(_table(info, LINE_IDS, DRUG_IDS).set_axis(["line", "drug"], axis=1), info.place)
    areas = _unique(profiles.table([AAC]), profiles.place)
    if set(areas.index) != set(ids.index):
        raise profiles.place.error("its rows are not the experiments of info")
    frame = ids.assign(study=study).join(areas.astype(object)).dropna()
    frame = frame[~frame["drug"].str.contains(MIXTURE)]
    if frame.empty:
        raise profiles.place.error(f"no experiment has a line, a drug and a number in {AAC!r}")
    frame["aac"] = _fraction(frame, profiles.place)
    return frame[["study", "line", "drug", "aac"]].reset_index(drop=True)


def _fraction(frame: pd.DataFrame, place: Place) -> pd.Series:
    """Return areas of 0 to 1 from areas that are fractions or in percent."""
    percent = (numbers(frame, AAC, place) > 1 + ROUNDING).mean() >= PERCENT_SHARE
    top = 100 if percent else 1
    return (numbers(frame, AAC, place, -ROUNDING * top, (1 + ROUNDING) * top) / top).clip(0, 1)


def _table(node: Node, *choices: tuple[str, ...]) -> pd.DataFrame:
    """Return columns of a table, of each choice the first that is there, as text."""
    has = node.child("listData").members if "listData" in node else node.members
    columns = [next((name for name in names if name in has), names[0]) for names in choices]
    return node.table(columns).astype("str")


def _unique(table: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return a table whose rows have names of their own; refuse another."""
    if table.index.has_duplicates:
        raise place.error(f"the row {table.index[table.index.duplicated()][0]!r} is there twice")
    return table


def _samples(pset: Node, lines: set[str]) -> pd.DataFrame:
    """Return what identifies the lines; those with data that the file does not describe are added."""
    node = pset.child(*SAMPLES)
    table = _unique(node.table(), node.place)
    check_columns(list(table.columns), ["tissueid"], node.place)
    table = table[[column for column in table.columns if IDENTIFIER.search(column)]]
    # Whole numbers such as COSMIC's come without the decimal point that they would be printed with.
    table = table.apply(lambda column: column.astype("str").str.removesuffix(".0"))
    own = next((name for name in LINE_IDS if name in table), None)
    known = table[table[own].notna()] if own else table  # rows without an id stand for lost names
    return known.reindex(known.index.union(list(lines))).rename_axis("line")


def _smiles(pset: Node, drugs: set[str]) -> pd.Series:
    """Return SMILES by drug, missing where unknown."""
    node = pset.child(*DRUGS)
    table = _unique(node.table(), node.place)
    column = min((name for name in table.columns if SMILES.fullmatch(name)), key=len, default=None)
    known = table[column].astype("str") if column else pd.Series(index=table.index, dtype="str")
    first = known.str.replace(r"(///|,).*", "", regex=True).str.strip().replace("", None)
    return first.reindex(first.index.union(list(drugs))).rename("smiles").rename_axis("drug")


def _expression(pset: Node) -> pd.DataFrame | None:
    """Return log2(TPM + 1), lines x genes, where there is RNA-seq."""
    profiles = pset.child("molecularProfiles")
    if profiles.kind == "S4":
        kind = " ".join(profiles.classes)
        raise profiles.place.error(f"is a {kind}, not the list of molecular profiles that is read here")
    if RNASEQ not in profiles:
        return None
    node = profiles.child(RNASEQ)
    assay, genes, runs = _experiment(node)
    values = assay.matrix()
    if values.shape != (len(genes), len(runs)):
        raise assay.place.error(f"has {values.shape} genes and runs, and its tables describe {len(genes), len(runs)}")
    _check_unit(values, assay.place)
    logs = np.log2(np.maximum(np.exp2(values) - PSEUDOCOUNT, 0) + 1)
    frame = pd.DataFrame(logs.T, index=pd.Index(runs, name="line"), columns=pd.Index(genes, name="gene"))
    frame = frame.loc[:, frame.columns.notna() & (frame.columns != "")]
    means = frame.groupby(level="line").mean()  # runs of no known line are left out
    return _loudest(means).astype(np.float32)


def _experiment(node: Node) -> tuple[Node, pd.Series, pd.Series]:
    """Return values, symbols and lines of a SummarizedExperiment or of an ExpressionSet, its predecessor."""
    if "assayData" in node:
        values = node.child("assayData")
        genes, runs = node.child("featureData").child("data"), node.child("phenoData").child("data")
    else:
        holder = node.child("assays")
        # Until 2020 the assays were an object with an environment.
        values = (holder.child(".xData") if ".xData" in holder else holder).child("data").child("listData")
        genes, runs = node.child("elementMetadata"), node.child("colData")
    symbols, lines = _table(genes, SYMBOLS).iloc[:, 0], _table(runs, LINE_IDS).iloc[:, 0]
    return values.child("exprs"), symbols, lines


def _check_unit(values: np.ndarray, place: Place) -> None:
    """Refuse what is not log2(TPM + 0.001)."""
    low = np.log2(PSEUDOCOUNT) - ROUNDING
    if values.size and not ((values >= low) & (values <= MAX_LOG_TPM)).all():
        raise place.error(f"log2(TPM + {PSEUDOCOUNT}) lies between {low:.2f} and {MAX_LOG_TPM}, and not all of it does")
    if not (values < 0).any():
        raise place.error(f"no value is below 0: this is not log2(TPM + {PSEUDOCOUNT})")


def _loudest(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep of the genes with one symbol that with the highest mean, the first of equals, in the order of the file."""
    order = np.argsort(-frame.mean().to_numpy(), kind="stable")
    kept = order[~frame.columns[order].duplicated()]
    return frame.iloc[:, np.sort(kept)]
