"""Screens: what the preparation starts from, with one name for each line and each drug."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from leaplib.sources.gdsc import PLATFORM, STUDIES, read_expression, read_response, read_smiles
from leaplib.sources.identifiers import DrugIndex, LineIndex
from leaplib.sources.passports import read_passports

EXPRESSION = "GDSC expression"
LOST = ["study", "what", "raw", "reason"]
SAMPLES = ["model_id", "depmap_id", "cosmic_id", "tissue", "cancer_type", "cancer_type_detail"]
JOINS = ["study", "what", "raw", "canonical", "how"]

# The expression file writes names without punctuation, so that KMH2 may be KM-H2 (Hodgkin's lymphoma) or
# KMH-2 (thyroid). The profile settles it: PTPRC and CD74 are high, its closest lines are L-428 and
# L-1236, both Hodgkin's. ("TT" is an exact name, thyroid: CALCA and RET are high, as in medullary carcinoma;
# ML-1 and MS-1, each the name of two passports, lie beside thyroid and small cell lung lines.)
SETTLED_LINES = {EXPRESSION: {"KMH2": "KM-H2"}}


@dataclass(frozen=True)
class DrugScreen:
    """Expression of cell lines and their responses to drugs over several studies.

    Parameters
    ----------
    expression : DataFrame, lines x genes
        All lines with expression, also those without a response; values in `unit`.
    responses : DataFrame
        line, drug, study, aac (0 to 1); one row a measurement, repeats kept, lines without expression
        included.
    samples : DataFrame
        Indexed by line, all of the above; tissue and cancer_type missing where unknown.
    smiles : Series
        SMILES by drug, of the drugs whose structure is known.
    lost : DataFrame
        study, what ("line" | "drug"), raw (name), reason: everything that does not join, by name.
    unit : {"log2(TPM+1)", "z-score"}
    platform : str
        How expression was measured.
    data : {"real", "simulated"}
    joins : DataFrame
        study, what, raw, canonical, how: the name that each name was given; `how` as in `LineIndex.match`
        for a line, and for a drug how its structure was found (`DrugIndex.match`).
    """

    expression: pd.DataFrame
    responses: pd.DataFrame
    samples: pd.DataFrame
    smiles: pd.Series
    lost: pd.DataFrame
    unit: str
    platform: str
    data: str
    joins: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=JOINS))


@dataclass(frozen=True)
class GeneScreen:
    """Expression of cell lines and their dependency on genes.

    Parameters
    ----------
    expression : DataFrame, lines x genes
        Values in `unit`.
    dependency : DataFrame, lines x genes
        Probability of dependency or gene effect; NaN where not screened.
    samples : DataFrame
        Indexed by line; tissue, cancer_type.
    gene_sets : mapping of str to sequence of str
        Sets of genes by name: the fingerprint of a gene tells of which it is a member.
    unit : {"log2(TPM+1)", "z-score"}
    platform : str
        How expression was measured.
    data : {"real", "simulated"}
    """

    expression: pd.DataFrame
    dependency: pd.DataFrame
    samples: pd.DataFrame
    gene_sets: Mapping[str, Sequence[str]]
    unit: str
    platform: str
    data: str


def read_drug_screen() -> DrugScreen:
    """Read GDSC v2, GDSC v1 and CCLE out of the two wheels and join them.

    Lines are named as in the Cell Model Passports ("NCI-H2029"); a line that is not listed there keeps its
    name and has no tissue. Drugs are named by `DrugIndex`.

    Returns
    -------
    DrugScreen
        `expression` 975 lines x 6,163 genes, z-scores, float32. `samples` has the columns model_id,
        depmap_id, cosmic_id, tissue, cancer_type, cancer_type_detail.

    Raises
    ------
    InputError
        When a wheel is missing or damaged, or a name is ambiguous.
    """
    expression, smiles = read_expression(), read_smiles()
    responses = {STUDIES[study].label: read_response(study) for study in STUDIES}
    lines, line_joins = join_lines(
        read_passports(),
        {EXPRESSION: expression.index} | {name: set(r["line"]) for name, r in responses.items()},
    )
    drugs = DrugIndex(smiles).match({name: set(r["drug"]) for name, r in responses.items()})
    expression.index = pd.Index(_renamed(expression.index.to_series(), line_joins, EXPRESSION), name="line")
    records = pd.concat([_named(frame, line_joins, drugs) for frame in responses.values()], ignore_index=True)
    known = drugs.dropna(subset="smiles").drop_duplicates("canonical").set_index("canonical")["smiles"]
    joins = pd.concat([line_joins.assign(what="line"), drugs.assign(what="drug")], ignore_index=True)[JOINS]
    return DrugScreen(
        expression=expression,
        responses=records,
        samples=lines.loc[lines.index.isin(line_joins["canonical"]), SAMPLES],
        smiles=known.rename_axis("drug"),
        lost=_lost(joins, lines, expression.index, known.index),
        unit="z-score",
        platform=PLATFORM,
        data="real",
        joins=joins,
    )


def join_lines(passports: pd.DataFrame, names: Mapping[str, Iterable[str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find the lines of several files in the passport list.

    Parameters
    ----------
    passports : DataFrame
        As `read_passports` returns.
    names : mapping of file or study to names
        Joined in this order: a line that is not listed is known to the files after it.

    Returns
    -------
    DataFrame
        The passports and, below them, the lines that are not listed.
    DataFrame
        study, raw, canonical, how; "unmatched" lines keep their raw name as canonical.
    """
    lines, joins = passports, []
    for study, raw in names.items():
        matched = LineIndex(lines).match(sorted(raw), study, SETTLED_LINES.get(study))
        unlisted = matched.loc[matched["how"] == "unmatched", "raw"]
        matched["canonical"] = matched["canonical"].fillna(matched["raw"])
        lines = pd.concat([lines, _unlisted(unlisted, lines)])
        joins.append(matched.assign(study=study))
    return lines, pd.concat(joins, ignore_index=True)


def _unlisted(names: pd.Series, lines: pd.DataFrame) -> pd.DataFrame:
    """Return rows like those of `lines` that hold nothing but a name."""
    index = pd.Index(names, name="line")
    known = {"name": list(names), "screened": False, "synonyms": [[] for _ in names]}
    frame = pd.DataFrame(known, index=index)
    return frame.reindex(columns=lines.columns).astype(lines.dtypes.to_dict())


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
