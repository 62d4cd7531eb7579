"""From screens to cohorts: the paper's selection rules, each counted (supplementary figure 1)."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.linalg import eigh

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.expression import join_domains
from leaplib.cohorts.fingerprints import gene_set_membership, morgan
from leaplib.cohorts.splits import largest_tissues
from leaplib.sources.identifiers import normalise_drug
from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.sources.xenografts import Xenografts
from leaplib.tasks import MIN_EXTERNAL, Task

# A sample that alone carries more than this share of a leading component's variance is an outlier.
OUTLIER_SHARE = 0.2
OUTLIER_COMPONENTS = 5
PDX = "PDX Encyclopedia"


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
    n = len(values)
    _, leading = eigh(values @ values.T, subset_by_index=[max(n - n_components, 0), n - 1])
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
    cohort = Cohort(
        name=f"task {task.id}",
        expression=screen.expression.loc[response.index],
        response=response,
        samples=screen.samples.loc[response.index].assign(study="/".join(task.studies), disease_model="cell line"),
        perturbations=pd.DataFrame({"kind": "drug", "smiles": smiles}, index=response.columns),
        fingerprints=morgan(smiles) if fingerprints else None,
        label=task.label,
        unit=screen.unit,
        data=screen.data,
        platform=screen.platform,
    )
    return cohort, flow.frame()


def _unite_studies(screen: DrugScreen, task: Task, fingerprints: bool, flow: Flow) -> pd.DataFrame:
    """Return lines x drugs of the training studies, after the rules of each; external ones are only counted."""
    outliers = pca_outliers(screen.expression)
    studies = [prepare_study(screen, study, outliers, fingerprints, flow) for study in task.studies]
    for study in task.external:
        prepare_study(screen, study, outliers, fingerprints, flow)
    records = first_study(pd.concat(studies, ignore_index=True), task.studies)
    flow.count_records("all", "studies united, first study wins", records)
    return records.pivot(index="line", columns="drug", values="aac")


def prepare_study(screen: DrugScreen, study: str, outliers: pd.Index, fingerprints: bool,
                  flow: Flow) -> pd.DataFrame:  # fmt: skip
    """Return the records of a single study that its rules leave, the median of repeats, and count after each rule.

    Returns
    -------
    DataFrame
        study, line, drug, aac.
    """
    records = screen.responses[screen.responses["study"] == study]
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
    flow.count_matrix("all", step, response)
    return response


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
    flow, found = Flow(screen.samples["tissue"]), [pd.DataFrame(columns=["study", "line", "drug", "aac"])]
    outliers = pca_outliers(screen.expression)
    for study in task.held_out(screen.responses["study"].unique()):
        records = prepare_study(screen, study, outliers, cohort.fingerprints is not None, flow)
        for step, column, known in (("lines of the training studies", "line", cohort.response.index),
                                    ("drugs of the training studies", "drug", cohort.response.columns)):  # fmt: skip
            records = records[records[column].isin(known)]
            flow.count_records(study, step, records)
        records = records[records.groupby("drug")["line"].transform("size") >= MIN_EXTERNAL]
        flow.count_records(study, f"drugs in at least {MIN_EXTERNAL} lines", records)
        found.append(records)
    table = pd.concat(found if len(found) == 1 else found[1:], ignore_index=True).astype({"aac": float})
    table["aac"] = 1 - table["aac"] if task.label == "AUC" else table["aac"]
    return table.rename(columns={"aac": "response"}), flow.frame()


def prepare_dependencies(screen: GeneScreen, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Apply the rules of the paper on gene dependencies and effects (Methods, "Sample and perturbation selection").

    Returns
    -------
    Cohort, DataFrame
        As `prepare_drugs`.
    """
    flow = Flow(screen.samples["tissue"])
    branch, response, tissue = task.studies[0], screen.dependency, screen.samples["tissue"]
    flow.count_matrix(branch, "screened lines", response)
    rules = (
        ("with expression", screen.expression.index),
        ("with a tissue of origin", tissue.index[tissue.notna()]),
        ("without outliers (PCA)", response.index.difference(pca_outliers(screen.expression))),
    )
    for step, kept in rules:
        response = response[response.index.isin(kept)]
        flow.count_matrix(branch, step, response)
    membership = gene_set_membership(list(response.columns), screen.gene_sets)
    response = response.loc[:, membership.any(axis=1)]
    flow.count_matrix(branch, "genes in a gene set", response)
    response = _select_genes(response, task, flow).rename_axis(index=None, columns=None)
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


def _select_genes(response: pd.DataFrame, task: Task, flow: Flow) -> pd.DataFrame:
    """Keep genes that vary enough, then those that the task's ranking puts first; genes keep their order."""
    branch, spread = task.studies[0], response.std(axis=0)
    if task.min_sd:
        response = response.loc[:, spread > task.min_sd]
        flow.count_matrix(
            branch, f"genes with SD of the {task.label.rpartition('gene ')[2]} > {task.min_sd:.3f}", response
        )
    if not response.size:
        raise InputError(f"task {task.id}: no gene has an SD of the {task.label} above {task.min_sd}")
    if task.n_perturbations:
        spread = spread[response.columns]
        if task.ranking == "standard score":
            spread = ((response - response.mean()) / spread).abs().max()
            step = f"{task.n_perturbations:,} genes with the largest absolute standard score"
        else:
            step = f"{task.n_perturbations:,} genes with the largest SD"
        first = spread.sort_values(ascending=False, kind="stable").index[: task.n_perturbations]
        response = response.loc[:, response.columns.isin(first)]
        flow.count_matrix(branch, step if len(first) == task.n_perturbations else f"at most {step}", response)
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
    lines = _drugs_of(_unite_studies(screen, task, False, flow), task, flow)
    tumours = _treated(xenografts, list(lines.columns), flow)
    expression = join_domains(screen.expression.loc[lines.index], xenografts.expression.loc[tumours.index], screen.unit)
    described = xenografts.samples.loc[tumours.index].assign(study=PDX, disease_model="xenograft")
    samples = screen.samples.loc[lines.index].assign(study="/".join(task.studies), disease_model="cell line")
    smiles = screen.smiles.rename(index=_spelling(screen.smiles.index, task.drugs)).reindex(lines.columns)
    bits = morgan(smiles.dropna()).reindex(lines.columns, fill_value=0)
    cohort = Cohort(
        name=f"task {task.id}",
        expression=expression,
        response=pd.concat([lines, tumours]),
        samples=pd.concat([samples, described])[["tissue", "study", "disease_model"]],
        perturbations=pd.DataFrame({"kind": "drug", "smiles": smiles}, index=lines.columns),
        fingerprints=bits,
        label=task.label,
        unit=screen.unit,
        data="real" if screen.data == xenografts.data == "real" else "simulated",
        platform=f"{screen.platform}; xenografts: RNA-seq",
    )
    return cohort, flow.frame()


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
    flow.count_matrix("all", "drugs of the xenografts", response)
    return response


def _treated(xenografts: Xenografts, drugs: Sequence[str], flow: Flow) -> pd.DataFrame:
    """Return the xenografts with expression and a response to one of the drugs alone."""
    response = xenografts.response[list(drugs)]
    flow.count_matrix(PDX, "treated with one of the drugs alone", response[response.notna().any(axis=1)])
    response = response[response.index.isin(xenografts.expression.index) & response.notna().any(axis=1)]
    if response.empty:
        raise InputError(f"{PDX}: no xenograft has both expression and a response to {', '.join(drugs)}")
    response = response.rename_axis(index=None, columns=None)
    flow.count_matrix(PDX, "with expression", response)
    return response
