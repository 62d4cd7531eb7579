"""LEAP on a user's own samples: fit, keep, predict with uncertainty and biomarkers (`leap fit`, `leap predict`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.files import atomic_path
from leaplib.base.store import load_frame, save_frame
from leaplib.cohorts.prepare import load_cohort
from leaplib.models.gene_models import LEAPPlus, PSRidge
from leaplib.models.leap import LEAP
from leaplib.profiles import Profile
from leaplib.representation.pretraining import representations
from leaplib.samples.biomarkers import biomarkers
from leaplib.samples.matching import MAX_MISSING, Reference
from leaplib.samples.model_folder import check_target, read_record, write_folder
from leaplib.samples.uncertainty import Applicability, Calibration
from leaplib.samples.units import NAMES, USER_UNITS, detect_units, to_log
from leaplib.samples.user_tables import SEPARATORS, SUFFIXES, read_expression, read_groups, read_response
from leaplib.tasks import get_task

ESTIMATORS: dict[str, type] = {"leap": LEAP, "ps-ridge": PSRidge, "leap-plus": LEAPPlus}
"""Models that a user can fit, by their key in `leaplib.models.table`."""

FRAMES = ("genes", "scores", "biomarkers", "quantiles", "folds", "usual", "distances", "scales")
MIN_LABELS = 10
MIN_SAMPLES = 20
FAR = 0.05
"""Applicability below which a sample is reported as far from the training set."""


@dataclass(frozen=True)
class OwnModel:
    """A fitted model and all that its predictions need.

    Parameters
    ----------
    estimator : fitted model
    reference : Reference
        Genes, unit and distribution of the training table.
    calibration : Calibration
    applicability : Applicability
    biomarkers : DataFrame
        As `leaplib.samples.biomarkers.biomarkers`.
    about : dict
        model (key of `ESTIMATORS`), source (what it was trained on), label (what the response is), data.
    """

    estimator: Any
    reference: Reference
    calibration: Calibration
    applicability: Applicability
    biomarkers: pd.DataFrame
    about: dict[str, Any]

    @classmethod
    def of(cls, estimator: Any, X: pd.DataFrame, Y: pd.DataFrame, unit: str, about: dict[str, Any]) -> "OwnModel":
        """Calibrate a model that was fitted on X (samples x genes, in `unit`) and Y (samples x perturbations)."""
        return cls(estimator, Reference.fit(X, unit, estimator.genes_), Calibration.fit(estimator, X, Y),
                   Applicability.fit(estimator.features(X)), biomarkers(estimator, X), about)  # fmt: skip

    def predict(self, expression: pd.DataFrame, units: str = "auto", match: str = "none", level: float = 0.9,
                max_missing: float = MAX_MISSING, where: str = "expression",
                n_genes: int = 5) -> tuple[pd.DataFrame, list[str]]:  # fmt: skip
        """Predict new samples.

        Parameters
        ----------
        expression : DataFrame, samples x genes
            Gene symbols as columns; NaN where missing.
        units : {"auto", "counts", "tpm", "log", "z-score"}
        match : {"none", "domain", "quantile"}
            For another platform, see `leaplib.samples.matching.Reference.prepare`.
        level : float
            Of the intervals.
        max_missing : float
            Largest share of the model's genes that may be missing.
        where : str
            File to name in messages.
        n_genes : int
            Biomarkers named for each perturbation.

        Returns
        -------
        DataFrame, one row a sample and perturbation
            sample, perturbation, prediction, lower, upper (NaN where there are too few labels, see note), spread (SD
            of the regressors), distance, applicability (of the sample), biomarkers (genes, the heaviest first, + where
            more expression means a higher response), note.
        list of str
            What was found out and done about the table; what needs attention begins with "warning: ".
        """
        logged, units, notes = as_log(expression, units, where)
        ready, done = self.reference.prepare(logged, units, match, max_missing, where)
        found = self.calibration.intervals(self.estimator, ready, level)
        score = self.applicability.score(self.estimator.features(ready))
        far = int((score["applicability"] < FAR).sum())
        if far:
            done.append(
                f"warning: {far} of {len(score)} samples are far from the training set (applicability below {FAR:g})"
            )
        frame = pd.DataFrame(
            {name: getattr(found, name).stack() for name in ("prediction", "lower", "upper", "spread")}
        )
        frame = frame.rename_axis(["sample", "perturbation"]).reset_index().join(score, on="sample")
        frame["biomarkers"] = frame["perturbation"].map(self._named(n_genes))
        frame["note"] = frame["perturbation"].map(found.notes)
        return frame, [*notes, *done]

    def _named(self, n_genes: int) -> pd.Series:
        """Return the first biomarkers of each perturbation in words."""
        first = self.biomarkers[(self.biomarkers["rank"] <= n_genes) & (self.biomarkers["weight"] != 0)]
        words = first["gene"] + np.where(first["weight"] > 0, " +", " -")
        names = words.groupby(first["perturbation"], sort=False).agg("; ".join)
        return names.reindex(self.estimator.perturbations_, fill_value="")

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder; see `leaplib.samples.model_folder`."""
        return write_folder(folder, self.about, self._fill)

    def _fill(self, folder: Path) -> None:
        self.estimator.save(folder / "estimator")
        frames = {"genes": self.reference.genes, "scores": self.calibration.scores, "biomarkers": self.biomarkers,
                  "quantiles": pd.DataFrame({"value": self.reference.quantiles}),
                  "folds": self.calibration.folds.to_frame("fold"), "usual": self.calibration.usual.to_frame("spread"),
                  "distances": pd.DataFrame({"distance": self.applicability.distances}),
                  "scales": pd.DataFrame({"scale": self.applicability.scales})}  # fmt: skip
        frames |= {f"features_{i}": frame.rename(columns=str) for i, frame in enumerate(self.applicability.features)}
        for name, frame in frames.items():
            save_frame(frame, folder / f"{name}.parquet", {})

    @classmethod
    def load(cls, folder: str | Path) -> "OwnModel":
        """Read a model folder that `save` wrote.

        Raises
        ------
        InputError
            When it is damaged, incomplete, or of a newer leaplib.
        """
        folder = Path(folder)
        about = read_record(folder)
        estimator = estimator_of(about.get("model", "")).load(folder / "estimator")
        read = {name: load_frame(folder / f"{name}.parquet") for name in FRAMES}
        scales = read["scales"]["scale"].to_numpy()
        features = [load_frame(folder / f"features_{number}.parquet") for number in range(len(scales))]
        return cls(estimator, Reference(read["genes"], read["quantiles"]["value"].to_numpy(), about["unit"]),
                   Calibration(read["scores"], read["folds"]["fold"], read["usual"]["spread"]),
                   Applicability(features, read["distances"]["distance"].to_numpy(), scales),
                   read["biomarkers"], about)  # fmt: skip


def estimator_of(model: str) -> Any:
    """Return the class of a model; an unknown name is an InputError that lists the known ones."""
    if model not in ESTIMATORS:
        raise InputError(f"model {model!r} is unknown: use one of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[model]


def make(model: str, profile: Profile, seed: int, device: str) -> Any:
    """Return an estimator with the sizes of a profile."""
    kind = estimator_of(model)
    settings = {"n_representations": profile.n_representations, "n_genes": profile.n_genes, "random_state": seed,
                "device": device, "damae": dict(profile.damae)}  # fmt: skip
    known = kind().get_params()
    return kind(**{name: value for name, value in settings.items() if name in known})


def as_log(expression: pd.DataFrame, units: str, where: str) -> tuple[pd.DataFrame, str, list[str]]:
    """Return expression on a log scale (z-scores as they are), its units, and a sentence about them."""
    if units not in USER_UNITS:
        raise InputError(f"units {units!r} are unknown: use one of {', '.join(USER_UNITS)}")
    if expression.isna().all(axis=1).any():
        raise InputError(
            f"{where}: sample {expression.index[expression.isna().all(axis=1)][0]!r} has no values: drop it"
        )
    found = detect_units(expression, where) if units == "auto" else units
    how = "detected" if units == "auto" else "declared"
    note = f"{where}: {len(expression):,} samples x {expression.shape[1]:,} genes, {NAMES[found]} ({how})"
    return to_log(expression, found, where), found, [note]


def fit_tables(expression: pd.DataFrame, response: pd.DataFrame, profile: Profile, model: str = "leap",
               units: str = "auto", groups: pd.Series | None = None, seed: int = 0, device: str = "auto",
               where: Sequence[str] = ("expression", "response")) -> tuple[OwnModel, list[str]]:  # fmt: skip
    """Fit a model on a user's tables.

    Parameters
    ----------
    expression : DataFrame, samples x genes
        Samples without a response take part in the pretraining alone.
    response : DataFrame, samples x perturbations
        NaN where not measured. Perturbations with fewer than 10 labels are left out.
    profile : Profile
        Sizes and schedule of the autoencoders.
    model : str
        Key of `ESTIMATORS`.
    units : {"auto", "counts", "tpm", "log", "z-score"}
    groups : Series, optional
        Group (tissue) of each sample; intervals then hold for samples of unseen groups rather than of known ones.
    seed : int
    device : {"auto", "cpu", "cuda"}
    where : pair of str
        Files to name in messages.

    Returns
    -------
    OwnModel
    list of str
        What was found out and done about the tables; what needs attention begins with "warning: ".
    """
    logged, found, notes = as_log(expression, units, where[0])
    filled, gaps = _filled(logged, where[0])
    labelled = filled.index[filled.index.isin(response.index)]
    if len(labelled) < MIN_SAMPLES:
        raise InputError(f"{where[1]}: {len(labelled)} samples are in {where[0]} too, {MIN_SAMPLES} are needed: use "
                         "the same names of samples in both, as rows")  # fmt: skip
    labels, dropped = _labels(response.loc[labelled], where[1])
    without = len(response) - len(labelled)
    if without:
        dropped.append(f"warning: {where[1]}: {without} samples have no expression and are left out")
    estimator = make(model, profile, seed, device)
    unlabelled = filled.drop(index=labelled)
    X = filled.loc[labels.index]
    estimator.fit(X, labels, unlabelled=unlabelled if len(unlabelled) else None, groups=groups)
    unit = "z-score" if found == "z-score" else "log2(TPM+1)"
    about = {"model": model, "unit": unit, "source": [str(name) for name in where], "label": "response",
             "data": "user", "profile": profile.name, "seed": seed}  # fmt: skip
    notes.append(f"{where[1]}: {len(labels):,} samples x {labels.shape[1]:,} perturbations, "
                 f"{int(labels.notna().to_numpy().sum()):,} labels")  # fmt: skip
    return OwnModel.of(estimator, X, labels, unit, about), [*notes, *gaps, *dropped]


def _filled(expression: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out genes with too many empty cells; the others' take the gene's mean."""
    empty = expression.isna().mean(axis=0)
    kept = expression.loc[:, empty <= MAX_MISSING]
    if not kept.shape[1]:
        raise InputError(f"{where}: every gene lacks more than {MAX_MISSING:.0%} of its values: check the table")
    notes = []
    if kept.shape[1] < expression.shape[1]:
        dropped = expression.shape[1] - kept.shape[1]
        notes.append(f"warning: {where}: {dropped:,} genes with over {MAX_MISSING:.0%} empty cells are left out")
    if kept.isna().any(axis=None):
        notes.append(f"warning: {where}: {int(kept.isna().to_numpy().sum()):,} empty cells take the gene's mean")
    return kept.fillna(kept.mean(axis=0)), notes


def _labels(response: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out perturbations with too few labels, and samples without any."""
    enough = response.notna().sum() >= MIN_LABELS
    kept = response.loc[:, enough].dropna(how="all")
    if not kept.shape[1]:
        raise InputError(f"{where}: no perturbation has {MIN_LABELS} labels on samples with expression: give more")
    few = int((~enough).sum())
    note = f"warning: {where}: {few} perturbations with fewer than {MIN_LABELS} labels are left out"
    return kept, [note] if few else []


def fit_task(profile: Profile, task_id: str, model: str = "leap", samples: pd.Index | None = None,
             groups: pd.Series | None = None, seed: int = 0, device: str = "auto") -> OwnModel:  # fmt: skip
    """Fit a model on a task's cohort; its autoencoders are those of the profile's runs, trained now or before.

    Parameters
    ----------
    profile : Profile
    task_id : str
    model : str
        Key of `ESTIMATORS`.
    samples : Index, optional
        Training samples; by default all cell lines of the task.
    groups : Series, optional
        As in `fit_tables`; by default the tissues where the task is about unseen tissues.
    seed : int
        Of the tuning folds.
    device : {"auto", "cpu", "cuda"}
    """
    task = get_task(task_id)
    estimator = make(model, profile, seed, device)
    cohort, _ = load_cohort(profile, task)
    lines = cohort.samples.index[cohort.samples["disease_model"] == "cell line"]
    rows = lines if samples is None else samples
    X, Y = cohort.expression.loc[rows], cohort.response.loc[rows]
    Y = Y.loc[:, Y.notna().sum() >= MIN_LABELS]
    if groups is None and task.design == "tissue":
        groups = cohort.samples.loc[rows, "tissue"]
    if hasattr(estimator, "fit_members"):
        estimator.fit_members(representations(profile, task, device), X, Y, groups)
    else:
        estimator.fit(X, Y, groups=groups)
    about = {"model": model, "unit": cohort.unit, "source": [f"task {task.id}"], "label": cohort.label,
             "data": cohort.data, "profile": profile.name, "seed": seed}  # fmt: skip
    return OwnModel.of(estimator, X, Y, cohort.unit, about)


def fit_to_folder(out: str | Path, profile: Profile, expression: str | None = None, response: str | None = None,
                  task: str | None = None, model: str = "leap", units: str = "auto", groups: str | None = None,
                  seed: int = 0, device: str = "auto") -> list[str]:  # fmt: skip
    """Fit on a user's files or on a task and write the model folder; return what to tell the user."""
    check_target(out)
    estimator_of(model)
    if (expression is None) != (response is None) or (expression is None) == (task is None):
        raise InputError("give --expression and --response, or --task: one of the two ways")
    if groups is not None and task is not None:
        raise InputError("--groups goes with --expression and --response: a task has its own tissues")
    if expression is None or response is None:
        fitted, notes = fit_task(profile, str(task), model, seed=seed, device=device), list[str]()
    else:
        tables = read_expression(expression), read_response(response)
        known = None if groups is None else read_groups(groups)
        fitted, notes = fit_tables(*tables, profile, model, units, known, seed, device, (expression, response))
    fitted.save(out)
    names = fitted.estimator.perturbations_
    return [*notes, f"{model} on {len(fitted.calibration.folds):,} samples, {len(fitted.estimator.genes_):,} genes and "
                    f"{len(names):,} perturbations ({fitted.about['data']} data): {out}"]  # fmt: skip


def predict_to_file(folder: str | Path, expression: str, out: str | Path, units: str = "auto", match: str = "none",
                    level: float = 0.9, max_missing: float = MAX_MISSING) -> list[str]:  # fmt: skip
    """Predict a user's file and write the table; return what to tell the user."""
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"{out}: unknown kind of table {out.suffix!r}: use one of {', '.join(SUFFIXES)}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder: give the name of a file")
    model = OwnModel.load(folder)
    frame, notes = model.predict(read_expression(expression), units, match, level, max_missing, expression)
    write_table(frame, out)
    return [*notes, f"{frame['sample'].nunique():,} samples x {frame['perturbation'].nunique():,} perturbations, "
                    f"intervals of {level:.0%}: {out}"]  # fmt: skip


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as the suffix says: CSV, TSV or parquet."""
    try:
        with atomic_path(path) as temporary:
            if path.suffix.lower() == ".parquet":
                frame.to_parquet(temporary, index=False)
            else:
                separator = SEPARATORS[path.suffix.lower()]
                frame.to_csv(temporary, sep=separator, index=False, float_format="%.6g", lineterminator="\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}): choose another place") from error
