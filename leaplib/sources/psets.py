"""PharmacoSets (PSets): drug studies as PharmacoGx curates them, one .rds file of R for each study.

https://doi.org/10.1093/bioinformatics/btv723; the files are published by ORCESTRA. Their curves are fitted anew in one
way for all studies, and lines and drugs bear one name in all of them ("NCI-H2029"), which a study's own table does not.

A PSet is an S4 object. Two generations of names are read: the slots sample, treatment and treatmentResponse with
the columns sampleid and treatmentid (since 2022), and cell, drug and sensitivity with cellid and drugid. The
published files could not be tried: the reader is written after the documented classes, and tested on small files of
both generations that the tests write.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.sources.genes import gene_name
from leaplib.sources.rds import Node, read_rds
from leaplib.sources.screens import Study
from leaplib.sources.tabular import Place, numbers, refusing_damage

# By study: the source in the manifest, and what the name in the PSet's annotation is like.
PSETS = {
    "GDSC v2": ("pset-gdsc2", r"GDSC(_20\d\d)?[ _(]*v?2(?!\d).*"),
    "GDSC v1": ("pset-gdsc1", r"GDSC(_20\d\d)?[ _(]*v?1(?!\d).*"),
    "CCLE": ("pset-ccle", r"CCLE.*"),
    "CTRP": ("pset-ctrpv2", r"CTRP(_?v2.*)?"),
    "PRISM": ("pset-prism", r"PRISM.*"),
}
LINE_IDS, DRUG_IDS = ("sampleid", "cellid"), ("treatmentid", "drugid")
AAC = "aac_recomputed"
PERCENT_SHARE = 0.1  # of the values lie above 1 in percent: in published screens most do, as fractions none
ROUNDING = 0.01  # how far beyond 0 and 1 a fitted area may lie
MIXTURE = re.compile(r"///|mol/mol", re.IGNORECASE)  # two drugs given together
SMILES = re.compile(r"(?:.*[._])?smiles", re.IGNORECASE)
RNASEQ = "Kallisto_0.46.1.rnaseq"
SYMBOLS = ("gene_name", "Symbol")
PSEUDOCOUNT = 0.001  # PharmacoGx takes log2(TPM + 0.001)
MAX_LOG_TPM = 20  # TPM add up to a million: log2(1e6) is 19.93


def read_pset(path: str | Path, study: str) -> Study:
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
    Study
        aac is the area above the curve that PharmacoGx fitted (aac_recomputed), as a share of the largest possible
        one. Files state it as a fraction or in percent; which one shows in the values. Experiments without an area
        (left out as noisy), line or drug, and mixtures of drugs, are left out. Of several structures of a drug the
        first one counts. Expression is that of Kallisto, given as log2(TPM + 0.001): the mean over a line's runs, and
        of genes with the same symbol (copies on other contigs, mostly silent) the one with the highest mean over lines.
    """
    source, wanted = PSETS[study]
    pset = read_rds(Place(Path(path), source))
    with refusing_damage(pset.place, "no PharmacoSet that can be read"):
        if "PharmacoSet" not in pset.classes:
            raise pset.place.error(f"holds no PharmacoSet but an object of R's {' '.join(pset.classes) or pset.kind}")
        name = pset.child("annotation").child("name")
        found = str(name.vector()[0]) if len(name.vector()) else ""
        if not re.fullmatch(wanted, found):
            raise name.place.error(f"the PSet is {found!r}, not that of {study}")
        return Study(_responses(pset, study), _smiles(pset), _expression(pset))


def _listed(node: Node, what: str) -> Node:
    """Refuse what a later generation holds in place of a list."""
    if node.kind == "S4":
        raise node.place.error(f"is a {' '.join(node.classes)}, not the list of {what} that is read here")
    return node


def _responses(pset: Node, study: str) -> pd.DataFrame:
    """Return the responses with their canonical columns."""
    experiments = _listed(pset.child("treatmentResponse", "sensitivity"), "info and profiles")
    info, profiles = experiments.child("info"), experiments.child("profiles")
    ids = _unique(info.table(LINE_IDS, DRUG_IDS).astype("str").set_axis(["line", "drug"], axis=1), info.place)
    areas = _unique(profiles.table([AAC]), profiles.place)
    if set(areas.index) != set(ids.index):
        raise profiles.place.error("its rows are not the experiments of info")
    frame = ids.assign(study=study).join(areas.astype(object)).dropna()
    frame = frame[~frame["drug"].str.contains(MIXTURE)]
    if frame.empty:
        raise profiles.place.error(f"no experiment has a line, a drug and a number in {AAC!r}")
    percent = (numbers(frame, AAC, profiles.place) > 1 + ROUNDING).mean() >= PERCENT_SHARE
    top = 100 if percent else 1
    area = numbers(frame, AAC, profiles.place, -ROUNDING * top, (1 + ROUNDING) * top)
    frame["aac"] = (area / top).clip(0, 1)
    return frame[["study", "line", "drug", "aac"]].reset_index(drop=True)


def _unique(table: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return a table whose rows have names of their own; refuse another."""
    if table.index.has_duplicates:
        raise place.error(f"the row {table.index[table.index.duplicated()][0]!r} is there twice")
    return table


def _smiles(pset: Node) -> pd.Series:
    """Return SMILES by drug, where known."""
    node = pset.child("treatment", "drug")
    table = _unique(node.table(), node.place)
    column = min((name for name in table.columns if SMILES.fullmatch(name)), key=len, default=None)
    known = table[column].astype("str") if column else pd.Series(index=table.index, dtype="str")
    first = known.str.replace(r"(///|,).*", "", regex=True).str.strip().replace("", None)
    return first.dropna().rename("smiles").rename_axis("drug")


def _expression(pset: Node) -> pd.DataFrame | None:
    """Return log2(TPM + 1), lines x genes, where there is RNA-seq."""
    profiles = _listed(pset.child("molecularProfiles"), "molecular profiles")
    if RNASEQ not in profiles:
        return None
    assay, genes, runs = _experiment(profiles.child(RNASEQ))
    values = assay.matrix()
    if values.shape != (len(genes), len(runs)):
        raise assay.place.error(f"has {values.shape} genes and runs, and its tables describe {len(genes), len(runs)}")
    low = np.log2(PSEUDOCOUNT) - ROUNDING
    if values.size and not ((values >= low) & (values <= MAX_LOG_TPM)).all():
        rule = f"log2(TPM + {PSEUDOCOUNT}) lies between {low:.2f} and {MAX_LOG_TPM}"
        raise assay.place.error(f"{rule}, and not all of it does")
    if not (values < 0).any():
        raise assay.place.error(f"no value is below 0: this is not log2(TPM + {PSEUDOCOUNT})")
    logs = np.log2(np.maximum(np.exp2(values) - PSEUDOCOUNT, 0) + 1)
    frame = pd.DataFrame(logs.T, index=pd.Index(runs, name="line"), columns=pd.Index(genes, name="gene"))
    frame = frame.loc[:, frame.columns.notna() & (frame.columns != "")].rename(columns=gene_name)
    means = frame.groupby(level="line").mean()  # runs of no known line are left out
    # Of genes with one symbol that with the highest mean, the first of equals, in the order of the file.
    order = np.argsort(-means.mean().to_numpy(), kind="stable")
    kept = order[~means.columns[order].duplicated()]
    return means.iloc[:, np.sort(kept)].astype(np.float32)


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
    symbols, lines = genes.table(SYMBOLS), runs.table(LINE_IDS)
    return values.child("exprs"), symbols.astype("str").iloc[:, 0], lines.astype("str").iloc[:, 0]
