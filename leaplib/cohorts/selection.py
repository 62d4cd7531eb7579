"""From screens to cohorts: the paper's selection rules, each counted (supplementary figure 1), and fingerprints."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.SaltRemover import SaltRemover
from scipy.linalg import eigh

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.expression import join_domains
from leaplib.cohorts.splits import largest_tissues
from leaplib.sources.identifiers import normalise_drug
from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.sources.xenografts import Xenografts
from leaplib.tasks import MIN_EXTERNAL, Task

# A sample that alone carries more than this share of a leading component's variance is an outlier.
OUTLIER_SHARE = 0.2
OUTLIER_COMPONENTS = 5
PDX = "PDX Encyclopedia"
RADIUS, N_BITS = 2, 2048  # of Morgan fingerprints


class Flow:
    """Counts after each selection rule, in order.

    Attributes
    ----------
    rows : list of dict
        branch (study or "all"), step, tissues, samples, perturbations, pairs.
    """

    def __init__(self, tissue: pd.Series) -> None:
        self.tissue = tissue
        self.rows: list[dict] = []

    def count(self, branch: str, step: str, table: pd.DataFrame) -> pd.DataFrame:
        """Count what a rule left, records (columns line and drug) or a matrix of samples x perturbations; return it."""
        if {"line", "drug"} <= set(table.columns):
            samples, n_perturbations, pairs = pd.Index(table["line"].unique()), table["drug"].nunique(), len(table)
        else:
            samples, n_perturbations = table.index, table.shape[1]
            pairs = int(table.notna().to_numpy().sum())
        self.rows.append({"branch": branch, "step": step, "tissues": self.tissue.reindex(samples).nunique(),
                          "samples": len(samples), "perturbations": n_perturbations, "pairs": pairs})  # fmt: skip
        return table

    def frame(self) -> pd.DataFrame:
        """Return the counts as a frame."""
        return pd.DataFrame(self.rows)


def pca_outliers(expression: pd.DataFrame) -> pd.Index:
    """Return samples that dominate a leading principal component.

    The paper removes two DepMap lines "by visually inspecting the first principal components". The
    rule here: a sample whose squared score exceeds a fifth of the component's total on one of the first
    five. Ordinary samples of n carry about 1/n; even the smallest tissue shares its component
    among its members.

    Parameters
    ----------
    expression : DataFrame, samples x genes

    Returns
    -------
    Index of samples
    """
    values = expression.to_numpy(dtype=float)
    values = values - values.mean(axis=0)
    # Left singular vectors from the samples x samples Gram matrix: their squares are the shares.
    n = len(values)
    _, leading = eigh(values @ values.T, subset_by_index=[max(n - OUTLIER_COMPONENTS, 0), n - 1])
    return expression.index[np.flatnonzero((leading**2 > OUTLIER_SHARE).any(axis=1))]


def median_of_repeats(records: pd.DataFrame) -> pd.DataFrame:
    """Return one record a (study, line, drug): the median of its repeats."""
    return records.groupby(["study", "line", "drug"])["aac"].median().reset_index()


def first_study(records: pd.DataFrame, studies: tuple[str, ...]) -> pd.DataFrame:
    """Return one record a (line, drug): that of the first study in `studies` that measured it."""
    rank = records["study"].map({study: i for i, study in enumerate(studies)})
    ordered = records.assign(rank=rank).sort_values(["line", "drug", "rank"], kind="stable")
    return ordered.drop_duplicates(["line", "drug"]).drop(columns="rank")


def prepare_drugs(screen: DrugScreen, task: Task, fingerprints: bool = True) -> tuple[Cohort, pd.DataFrame]:
    """Apply the drug rules of the paper (Methods, "Sample and perturbation selection").

    Parameters
    ----------
    screen : DrugScreen
    task : Task
        Its studies, in order of priority, and its thresholds. Studies that the screen lacks are left out.
    fingerprints : bool
        Keep only drugs with a structure, so that all models can be compared on them.

    Returns
    -------
    Cohort
        Response in the task's label: AAC, or AUC = 1 - AAC.
    DataFrame
        Counts after each rule: branch (study, or "all" once they are united), step, tissues, samples,
        perturbations, pairs. External studies are counted, but not part of the cohort.
    """
    task = task.with_studies(screen.responses["study"].unique())
    flow = Flow(screen.samples["tissue"])
    response = _unite_studies(screen, task, fingerprints, flow)
    response = _select_drugs(response, screen.samples["tissue"], task, flow)
    if task.label == "AUC":
        response = 1 - response
    smiles = screen.smiles.reindex(response.columns)
    perturbations = pd.DataFrame({"kind": "drug", "smiles": smiles}, index=response.columns)
    bits = morgan(smiles) if fingerprints else None
    return _cohort(screen, task, response, perturbations, bits), flow.frame()


def _cohort(screen: DrugScreen | GeneScreen, task: Task, response: pd.DataFrame, perturbations: pd.DataFrame,
            bits: pd.DataFrame | None) -> Cohort:  # fmt: skip
    """Return the cohort of the lines and perturbations that the rules left."""
    return Cohort(
        name=f"task {task.id}",
        expression=screen.expression.loc[response.index],
        response=response,
        samples=screen.samples.loc[response.index].assign(study="/".join(task.studies), disease_model="cell line"),
        perturbations=perturbations,
        fingerprints=bits,
        label=task.label,
        unit=screen.unit,
        data=screen.data,
        platform=screen.platform,
    )


def _unite_studies(screen: DrugScreen, task: Task, fingerprints: bool, flow: Flow) -> pd.DataFrame:
    """Return lines x drugs of the training studies, after the rules of each; external ones are only counted."""
    outliers = pca_outliers(screen.expression)
    studies = [_of_study(screen, study, outliers, fingerprints, flow) for study in (*task.studies, *task.external)]
    records = first_study(pd.concat(studies[: len(task.studies)], ignore_index=True), task.studies)
    flow.count("all", "studies united, first study wins", records)
    return records.pivot(index="line", columns="drug", values="aac")


def _of_study(screen: DrugScreen, study: str, outliers: pd.Index, fingerprints: bool, flow: Flow) -> pd.DataFrame:
    """Return the records of a single study that its rules leave, the median of repeats, and count after each rule."""
    tissue, lines = screen.samples["tissue"], screen.expression.index
    rules = {
        "with expression": ("line", lines),
        "with a tissue of origin": ("line", tissue.index[tissue.notna()]),
        "without outliers (PCA)": ("line", lines.difference(outliers)),
    } | ({"drugs with a structure": ("drug", screen.smiles.index)} if fingerprints else {})
    records = flow.count(study, "records", screen.responses[screen.responses["study"] == study])
    records = _among(records, rules, study, flow)
    return flow.count(study, "median of repeats", median_of_repeats(records))


def _among(records: pd.DataFrame, rules: Mapping[str, tuple[str, pd.Index]], study: str, flow: Flow) -> pd.DataFrame:
    """Keep the records whose line or drug (by step) is among some, and count after each step."""
    for step, (column, known) in rules.items():
        records = flow.count(study, step, records[records[column].isin(known)])
    return records


def _select_drugs(response: pd.DataFrame, tissue: pd.Series, task: Task, flow: Flow) -> pd.DataFrame:
    """Keep drugs measured often enough, then the lines that have any response left."""
    measured = response.notna()
    if task.n_tissues:
        tissues = largest_tissues(tissue.loc[response.index].to_frame("tissue"), task.n_tissues)
        counts = measured.groupby(tissue.loc[response.index]).sum().loc[tissues]
        keep = (counts >= task.min_samples_per_tissue).all()
        step = f"drugs in at least {task.min_samples_per_tissue} lines of each of the {task.n_tissues} largest tissues"
    else:
        keep = measured.sum() >= task.min_samples
        step = f"drugs in at least {task.min_samples} lines"
    if not keep.any():
        raise InputError(f"task {task.id}: no perturbation is left after the rule '{step}': add data")
    response = response.loc[:, keep]
    response = response[response.notna().any(axis=1)].rename_axis(index=None, columns=None)
    return flow.count("all", step, response)


def prepare_external(screen: DrugScreen, task: Task, cohort: Cohort) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what external studies measured of a cohort's lines and drugs (paper, supplementary figure 3).

    Drugs that a study measured in fewer than 15 lines are left out of it.

    Parameters
    ----------
    screen : DrugScreen
    task : Task
    cohort : Cohort
        Of the task, as `prepare_drugs` returns it.

    Returns
    -------
    DataFrame
        study, line, drug, response (in the unit of the cohort's); no rows where the screen has no external study.
    DataFrame
        Counts after each rule; the branch is the study.
    """
    flow, found = Flow(screen.samples["tissue"]), []
    outliers = pca_outliers(screen.expression)
    rules = {
        "lines of the training studies": ("line", cohort.response.index),
        "drugs of the training studies": ("drug", cohort.response.columns),
    }
    for study in task.held_out(screen.responses["study"].unique()):
        records = _of_study(screen, study, outliers, cohort.fingerprints is not None, flow)
        records = _among(records, rules, study, flow)
        records = records[records.groupby("drug")["line"].transform("size") >= MIN_EXTERNAL]
        found.append(flow.count(study, f"drugs in at least {MIN_EXTERNAL} lines", records))
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["study", "line", "drug", "aac"])
    response = table.pop("aac").astype(float)
    return table.assign(response=1 - response if task.label == "AUC" else response), flow.frame()


def prepare_dependencies(screen: GeneScreen, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Apply the rules of the paper on gene dependencies and effects (Methods, "Sample and perturbation selection").

    Returns
    -------
    Cohort, DataFrame
        As `prepare_drugs`.
    """
    flow = Flow(screen.samples["tissue"])
    branch, response, tissue = task.studies[0], screen.dependency, screen.samples["tissue"]
    flow.count(branch, "screened lines", response)
    rules = {
        "with expression": screen.expression.index,
        "with a tissue of origin": tissue.index[tissue.notna()],
        "without outliers (PCA)": screen.expression.index.difference(pca_outliers(screen.expression)),
    }
    for step, kept in rules.items():
        response = flow.count(branch, step, response[response.index.isin(kept)])
    membership = gene_set_membership(list(response.columns), screen.gene_sets)
    response = flow.count(branch, "genes in a gene set", response.loc[:, membership.any(axis=1)])
    response = _select_genes(response, task, flow).rename_axis(index=None, columns=None)
    perturbations = pd.DataFrame({"kind": "gene", "smiles": None}, index=response.columns)
    return _cohort(screen, task, response, perturbations, membership.loc[response.columns]), flow.frame()


def _select_genes(response: pd.DataFrame, task: Task, flow: Flow) -> pd.DataFrame:
    """Keep genes that vary enough, then those that the task's ranking puts first; genes keep their order."""
    branch, spread = task.studies[0], response.std(axis=0)
    if task.min_sd:
        step = f"genes with SD of the {task.label.rpartition('gene ')[2]} > {task.min_sd:.3f}"
        response = flow.count(branch, step, response.loc[:, spread > task.min_sd])
    if not response.size:
        raise InputError(f"task {task.id}: no gene has an SD of the {task.label} above {task.min_sd}")
    if task.n_perturbations:
        spread, words = spread[response.columns], "SD"
        if task.ranking == "standard score":
            spread, words = ((response - response.mean()) / spread).abs().max(), "absolute standard score"
        first = spread.sort_values(ascending=False, kind="stable").index[: task.n_perturbations]
        few = "" if len(first) == task.n_perturbations else "at most "
        step = f"{few}{task.n_perturbations:,} genes with the largest {words}"
        response = flow.count(branch, step, response.loc[:, response.columns.isin(first)])
    return response


def prepare_xenografts(screen: DrugScreen, xenografts: Xenografts, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Join cell lines and xenografts treated with the same drugs (paper, Methods, "Challenge III").

    Parameters
    ----------
    screen : DrugScreen
    xenografts : Xenografts
    task : Task
        Its `drugs` are kept, with or without a structure: an antibody has none, and its fingerprint is empty.

    Returns
    -------
    Cohort
        Cell lines (response in AAC; for task 5b 1 - AUC, which is the same on GDSC alone) and xenografts (minus
        the best change of the tumour volume, percent), told apart by `samples["disease_model"]`; the expression is
        that of `leaplib.cohorts.expression.join_domains`.
    DataFrame
        Counts after each rule, as `prepare_drugs`; the branch of the xenografts is "PDX Encyclopedia".
    """
    task = task.with_studies(screen.responses["study"].unique())
    flow = Flow(pd.concat([screen.samples["tissue"], xenografts.samples["tissue"]]))
    response = _drugs_of(_unite_studies(screen, task, False, flow), task, flow)
    tumours = _treated(xenografts, list(response.columns), flow)
    smiles = screen.smiles.rename(index=_spelling(screen.smiles.index, task.drugs)).reindex(response.columns)
    perturbations = pd.DataFrame({"kind": "drug", "smiles": smiles}, index=response.columns)
    bits = morgan(smiles.dropna()).reindex(response.columns, fill_value=0)
    lines = _cohort(screen, task, response, perturbations, bits)
    described = xenografts.samples.loc[tumours.index].assign(study=PDX, disease_model="xenograft")
    both = replace(
        lines,
        expression=join_domains(lines.expression, xenografts.expression.loc[tumours.index], screen.unit),
        response=pd.concat([response, tumours]),
        samples=pd.concat([lines.samples, described])[["tissue", "study", "disease_model"]],
        data="real" if screen.data == xenografts.data == "real" else "simulated",
        platform=f"{screen.platform}; xenografts: RNA-seq",
        _hash=[],
    )
    return both, flow.frame()


def _spelling(names: pd.Index, drugs: Sequence[str]) -> dict[str, str]:
    """Translate names of a screen into the task's spelling of the same drug."""
    keys = {normalise_drug(drug): drug for drug in drugs}
    return {name: keys[normalise_drug(name)] for name in names if normalise_drug(name) in keys}


def _drugs_of(response: pd.DataFrame, task: Task, flow: Flow) -> pd.DataFrame:
    """Keep the task's drugs, in its order and spelling, and the lines that any of them was tested in."""
    response = response.rename(columns=_spelling(response.columns, task.drugs))
    response = response[[drug for drug in task.drugs if drug in response]]
    if response.shape[1] == 0:
        raise InputError(f"task {task.id}: no study tested any of {', '.join(task.drugs)}")
    response = response[response.notna().any(axis=1)].rename_axis(index=None, columns=None)
    return flow.count("all", "drugs of the xenografts", response)


def _treated(xenografts: Xenografts, drugs: Sequence[str], flow: Flow) -> pd.DataFrame:
    """Return the xenografts with expression and a response to one of the drugs alone."""
    response = xenografts.response[list(drugs)].rename_axis(index=None, columns=None)
    response = flow.count(PDX, "treated with one of the drugs alone", response[response.notna().any(axis=1)])
    response = response[response.index.isin(xenografts.expression.index)]
    if response.empty:
        raise InputError(f"{PDX}: no xenograft has both expression and a response to {', '.join(drugs)}")
    return flow.count(PDX, "with expression", response)


def clean_molecule(smiles: str, name: str) -> Chem.Mol:
    """Parse a SMILES and remove salts and stereochemistry (paper, Methods, "Drug fingerprints").

    Of several remaining components the one with most heavy atoms is kept.

    Raises
    ------
    InputError
        When rdkit cannot parse the SMILES; the message names the drug.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) if isinstance(smiles, str) and smiles else None
    if molecule is None:
        raise InputError(f"drug {name!r}: its SMILES {smiles!r} cannot be parsed: correct it or drop the drug")
    molecule = SaltRemover().StripMol(molecule, dontRemoveEverything=True)
    parts = Chem.GetMolFrags(molecule, asMols=True)
    molecule = max(parts, key=lambda part: part.GetNumHeavyAtoms())
    Chem.RemoveStereochemistry(molecule)
    return molecule


def morgan(smiles: pd.Series) -> pd.DataFrame:
    """Morgan fingerprints of drugs.

    Parameters
    ----------
    smiles : Series
        SMILES by drug name.

    Returns
    -------
    DataFrame, drugs x 2,048 bits, uint8
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=N_BITS)
    bits = [generator.GetFingerprintAsNumPy(clean_molecule(text, str(name))) for name, text in smiles.items()]
    matrix = np.array(bits, dtype=np.uint8).reshape(len(smiles), N_BITS)
    return pd.DataFrame(matrix, index=smiles.index, columns=[f"bit_{i}" for i in range(N_BITS)])


def gene_set_membership(genes: Sequence[str], gene_sets: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Membership of genes in gene sets (MSigDB C2 CGP in the paper).

    Sets that hold none of the genes are left out, as in DeepDEP.

    Returns
    -------
    DataFrame, genes x sets, uint8
    """
    index = pd.Index(genes)
    columns = {name: index.isin(set(members)).astype(np.uint8) for name, members in gene_sets.items()}
    matrix = pd.DataFrame(columns, index=index)
    return matrix.loc[:, matrix.any(axis=0)]
