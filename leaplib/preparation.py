"""From screens to cohorts: the paper's selection rules, each counted (supplementary figure 1)."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from leaplib.cohort import Cohort
from leaplib.errors import InputError
from leaplib.fingerprints import gene_set_membership, morgan
from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.splits import largest_tissues
from leaplib.tasks import Task

# A sample that alone carries more than this share of a leading component's variance is an outlier.
OUTLIER_SHARE = 0.2
OUTLIER_COMPONENTS = 5


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

    def count_records(self, branch: str, step: str, records: pd.DataFrame) -> None:
        """Count a long table with columns line and drug."""
        lines = pd.Index(records["line"].unique())
        self._add(branch, step, lines, records["drug"].nunique(), len(records))

    def count_matrix(self, branch: str, step: str, response: pd.DataFrame) -> None:
        """Count a matrix of samples x perturbations."""
        self._add(branch, step, response.index, response.shape[1], int(response.notna().to_numpy().sum()))

    def _add(self, branch: str, step: str, samples: pd.Index, perturbations: int, pairs: int) -> None:
        tissues = self.tissue.reindex(samples).nunique()
        self.rows.append({"branch": branch, "step": step, "tissues": tissues, "samples": len(samples),
                          "perturbations": perturbations, "pairs": pairs})  # fmt: skip

    def frame(self) -> pd.DataFrame:
        """Return the counts as a frame."""
        return pd.DataFrame(self.rows)


def pca_outliers(expression: pd.DataFrame, n_components: int = OUTLIER_COMPONENTS,
                 share: float = OUTLIER_SHARE) -> pd.Index:  # fmt: skip
    """Return samples that dominate a leading principal component.

    The paper removes two DepMap lines "by visually inspecting the first principal components". The
    rule here: a sample whose squared score exceeds `share` of the component's total on one of the first
    `n_components`. Ordinary samples of n carry about 1/n; even the smallest tissue shares its component
    among its members.

    Parameters
    ----------
    expression : DataFrame, samples x genes
    n_components : int
    share : float

    Returns
    -------
    Index of samples
    """
    values = expression.to_numpy(dtype=float)
    values = values - values.mean(axis=0)
    # Left singular vectors from the samples x samples Gram matrix: their squares are the shares.
    _, vectors = np.linalg.eigh(values @ values.T)
    leading = vectors[:, ::-1][:, :n_components]
    return expression.index[np.flatnonzero((leading**2 > share).any(axis=1))]


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
        Its studies, in order of priority, and its thresholds.
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
    flow = Flow(screen.samples["tissue"])
    outliers = pca_outliers(screen.expression)
    studies = [_prepare_study(screen, study, outliers, fingerprints, flow) for study in task.studies]
    for study in task.external:
        _prepare_study(screen, study, outliers, fingerprints, flow)
    records = first_study(pd.concat(studies, ignore_index=True), task.studies)
    flow.count_records("all", "studies united, first study wins", records)
    response = records.pivot(index="line", columns="drug", values="aac")
    response = _select_perturbations(response, screen.samples["tissue"], task, flow)
    if task.label == "AUC":
        response = 1 - response
    samples = screen.samples.loc[response.index].assign(study="/".join(task.studies), disease_model="cell line")
    drugs = response.columns
    smiles = screen.smiles.reindex(drugs)
    cohort = Cohort(
        name=f"task {task.id}",
        expression=screen.expression.loc[response.index],
        response=response,
        samples=samples,
        perturbations=pd.DataFrame({"kind": "drug", "smiles": smiles}, index=drugs),
        fingerprints=morgan(smiles) if fingerprints else None,
        label=task.label,
        unit=screen.unit,
        data=screen.data,
        platform=screen.platform,
    )
    return cohort, flow.frame()


def _prepare_study(screen: DrugScreen, study: str, outliers: pd.Index, fingerprints: bool,
                   flow: Flow) -> pd.DataFrame:  # fmt: skip
    """Apply the rules of a single study and count after each."""
    records = screen.responses[screen.responses["study"] == study]
    if records.empty:
        known = ", ".join(sorted(screen.responses["study"].unique()))
        raise InputError(f"study {study!r} has no responses: the data at hand are of {known}")
    flow.count_records(study, "records", records)
    tissue = screen.samples["tissue"]
    rules: list[tuple[str, Callable[[pd.DataFrame], pd.Series]]] = [
        ("with expression", lambda r: r["line"].isin(screen.expression.index)),
        ("with a tissue of origin", lambda r: r["line"].isin(tissue.index[tissue.notna()])),
        ("without outliers (PCA)", lambda r: ~r["line"].isin(outliers)),
    ]
    if fingerprints:
        rules.append(("drugs with a structure", lambda r: r["drug"].isin(screen.smiles.index)))
    for step, keep in rules:
        records = records[keep(records)]
        flow.count_records(study, step, records)
    records = median_of_repeats(records)
    flow.count_records(study, "median of repeats", records)
    return records


def _select_perturbations(response: pd.DataFrame, tissue: pd.Series, task: Task, flow: Flow) -> pd.DataFrame:
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
        raise InputError(f"task {task.id}: no perturbation is left after the rule '{step}': more data are needed")
    response = response.loc[:, keep]
    response = response[response.notna().any(axis=1)].rename_axis(index=None, columns=None)
    flow.count_matrix("all", step, response)
    return response


def prepare_dependencies(screen: GeneScreen, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Apply the gene-dependency rules of the paper (Methods, "Sample and perturbation selection").

    Returns
    -------
    Cohort, DataFrame
        As `prepare_drugs`.
    """
    flow = Flow(screen.samples["tissue"])
    branch = task.studies[0]
    response = screen.dependency
    tissue = screen.samples["tissue"]

    def count(step: str) -> None:
        flow.count_matrix(branch, step, response)

    count("screened lines")
    response = response[response.index.isin(screen.expression.index)]
    count("with expression")
    response = response[response.index.isin(tissue.index[tissue.notna()])]
    count("with a tissue of origin")
    response = response[~response.index.isin(pca_outliers(screen.expression))]
    count("without outliers (PCA)")
    membership = gene_set_membership(list(response.columns), screen.gene_sets)
    response = response.loc[:, membership.any(axis=1)]
    count("genes in a gene set")
    response = response.loc[:, response.std(axis=0) > task.min_sd].rename_axis(index=None, columns=None)
    count(f"genes with SD of the dependency > {task.min_sd:.3f}")
    if not response.size:
        raise InputError(f"task {task.id}: no gene has an SD of the dependency above {task.min_sd}")
    cohort = Cohort(
        name=f"task {task.id}",
        expression=screen.expression.loc[response.index],
        response=response,
        samples=screen.samples.loc[response.index].assign(study=branch, disease_model="cell line"),
        perturbations=pd.DataFrame({"kind": "gene", "smiles": None}, index=response.columns),
        fingerprints=membership.loc[response.columns],
        label=task.label,
        unit=screen.unit,
        data=screen.data,
        platform=screen.platform,
    )
    return cohort, flow.frame()
