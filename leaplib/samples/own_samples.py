"""LEAP on a user's own samples: fit, keep, predict with uncertainty and biomarkers (`leap fit`, `leap predict`)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.metrics import score
from leaplib.base.store import atomic_folder, load_frame, save_frame, sha256, versions, write_text
from leaplib.cohorts.prepare import load_cohort
from leaplib.cohorts.splits import holdouts, thinned
from leaplib.models.leap import LEAP, LEAPPlus, PSRidge
from leaplib.models.table import MODELS
from leaplib.profiles import Profile, get_profile
from leaplib.representation.pretraining import representations
from leaplib.runs.experiment import CURVE_COLUMNS
from leaplib.samples import tables
from leaplib.samples.biomarkers import biomarkers
from leaplib.samples.matching import MAX_MISSING, Reference, as_log
from leaplib.samples.tables import refusal, shown, told
from leaplib.samples.uncertainty import Applicability, Calibration
from leaplib.sources.genes import gene_name, with_gene_names
from leaplib.tasks import get_task

ESTIMATORS: dict[str, Any] = {"leap": LEAP, "ps-ridge": PSRidge, "leap-plus": LEAPPlus}
"""Models that a user can fit, by their key in `leaplib.models.table`."""

MIN_LABELS = 10
MIN_SAMPLES = 20
FAR = 0.05  # applicability below which a sample is reported as far from the training set
FORMAT, VERSION, RECORD, SUFFIXES = "leaplib.model", 1, "model.json", (".safetensors", ".json", ".parquet")
FRAMES = ("genes", "quantiles", "scores", "folds", "usual", "distances", "scales", "biomarkers")
NONE = pd.Index([])
SHARES = 0.2, 0.4, 0.6, 0.8, 1.0


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
        model (key of `ESTIMATORS`), unit, source (what it was trained on), label (what the response is), data, ...
    """

    estimator: Any
    reference: Reference
    calibration: Calibration
    applicability: Applicability
    biomarkers: pd.DataFrame
    about: dict[str, Any]

    @classmethod
    def of(cls, estimator: Any, X: pd.DataFrame, Y: pd.DataFrame, about: dict[str, Any]) -> "OwnModel":
        """Calibrate a model that was fitted on X (samples x genes, in `about["unit"]`) and Y."""
        reference = Reference.fit(X, about["unit"], estimator.genes_, about.get("units", ""))
        calibration, applicability = Calibration.fit(estimator, X, Y), Applicability.fit(estimator.features(X))
        return cls(estimator, reference, calibration, applicability, biomarkers(estimator, X), about)

    def predict(self, expression: pd.DataFrame, units: str = "auto", match: str = "none", level: float = 0.9,
                max_missing: float = MAX_MISSING,
                where: str = "expression") -> tuple[pd.DataFrame, list[str]]:  # fmt: skip
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

        Returns
        -------
        DataFrame, one row a sample and perturbation
            sample, perturbation, prediction, lower, upper (NaN where there are too few labels, see note), spread (SD
            of the regressors), distance, applicability (of the sample), biomarkers (five genes, the heaviest first, +
            where more expression means a higher response), note.
        list of str
            What was found out and done about the table; what needs attention begins with "warning: ".
        """
        tables.refuse_turned(expression, NONE, self.reference.genes.index, where)
        expression, named = with_gene_names(expression, where, self.reference.genes.index)
        logged, units, note = as_log(expression, units, where, self.reference.unit != "z-score", match != "none")
        ready, done = self.reference.prepare(logged, units, match, max_missing, where)
        found = self.calibration.intervals(self.estimator, ready, level)
        score = self.applicability.score(self.estimator.features(ready))
        done += told("far", (score["applicability"] < FAR).sum(), of=len(score), far=FAR)
        frame = pd.DataFrame({name: part.stack() for name, part in found.items()})
        frame = frame.rename_axis(["sample", "perturbation"]).reset_index().join(score, on="sample")
        first = self.biomarkers[(self.biomarkers["rank"] <= 5) & (self.biomarkers["weight"] != 0)]
        genes = first["gene"] + np.where(first["weight"] > 0, " +", " -")
        words = genes.groupby(first["perturbation"], sort=False).agg("; ".join)
        frame["biomarkers"] = frame["perturbation"].map(words).fillna("")
        frame["note"] = frame["perturbation"].map(self.calibration.notes(level))
        return frame, [*named, note, *done]

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder, whole or not at all; an earlier model is replaced, other files are not."""
        reference, calibration, applicability = self.reference, self.calibration, self.applicability
        columns: dict[str, Any] = {"quantiles": {"value": reference.quantiles}, "folds": {"fold": calibration.folds},
                   "usual": {"spread": calibration.usual}, "distances": {"distance": applicability.distances},
                   "scales": {"scale": applicability.scales}}  # fmt: skip
        frames = {"genes": reference.genes, "scores": calibration.scores, "biomarkers": self.biomarkers}
        frames |= {name: pd.DataFrame(column) for name, column in columns.items()}
        frames |= {f"features_{i}": frame.rename(columns=str) for i, frame in enumerate(applicability.features)}
        with atomic_folder(check_target(folder)) as temporary:
            self.estimator.save(temporary / "estimator")
            for name, frame in frames.items():
                save_frame(frame, temporary / f"{name}.parquet", {})
            files = {name: sha256(temporary / name) for name in _files(temporary)}
            record = {"format": FORMAT, "version": VERSION, **self.about, "usual": reference.usual}
            record |= {"packages": versions(), "files": files}
            write_text(temporary / RECORD, json.dumps(record, indent=1))
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> "OwnModel":
        """Read a model folder that `save` wrote; an InputError when it is damaged, incomplete, or newer."""
        folder = Path(folder)
        about = _read_record(folder)
        for name, checksum in about["files"].items():
            path = folder / name
            own = path.suffix in SUFFIXES and path.resolve().is_relative_to(folder.resolve())
            if not own or not path.is_file() or sha256(path) != checksum:
                raise refusal("changed", path)
        estimator = _estimator(about.get("model", "")).load(folder / "estimator")
        genes, *columns, weights = (load_frame(folder / f"{name}.parquet") for name in FRAMES)
        quantiles, scores, folds, usual, distances, scales = columns
        features = [load_frame(folder / f"features_{number}.parquet") for number in range(len(scales))]
        reference = Reference(genes, quantiles["value"].to_numpy(), about["unit"], about.get("usual", {}))
        calibration = Calibration(scores, folds["fold"], usual["spread"])
        applicability = Applicability(features, distances["distance"].to_numpy(), scales["scale"].to_numpy())
        return cls(estimator, reference, calibration, applicability, weights, about)


def _files(folder: Path) -> list[str]:
    """Return the files in a folder and in those within, from there."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def check_target(folder: str | Path) -> Path:
    """Refuse to replace what is no model folder, or one that holds other files."""
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        known = {RECORD, *_read_record(folder, "choose another folder")["files"]}
        others = [name for name in _files(folder) if name not in known]
        if others:
            raise refusal("foreign", folder, name=others[0])
    return folder


def _read_record(folder: Path, remedy: str = "give a folder that `leap fit` wrote") -> dict[str, Any]:
    """Return `model.json` after checking format and version."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        kind, version, _ = record["format"], int(record["version"]), record["files"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise refusal("no_model", folder, remedy=remedy) from error
    if kind != FORMAT or version > VERSION:
        found = {"found": kind, "version": version, "known": FORMAT, "newest": VERSION}
        raise refusal("format", folder, remedy=remedy, **found)
    return record


def _estimator(model: str) -> Any:
    """Return the class of a model; an unknown name is an InputError that lists the known ones."""
    if model not in ESTIMATORS:
        raise InputError(f"model {model!r} is unknown: use one of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[model]


def make(model: str, profile: Profile, seed: int, device: str) -> Any:
    """Return an estimator with the sizes of a profile."""
    kind = _estimator(model)
    settings = {"n_representations": profile.n_representations, "n_genes": profile.n_genes,
                "damae": dict(profile.damae), "random_state": seed, "device": device}  # fmt: skip
    return kind(**{name: value for name, value in settings.items() if name in kind().get_params()})


def fit_tables(expression: pd.DataFrame, response: pd.DataFrame, profile: Profile, model: str = "leap",
               units: str = "auto", groups: pd.Series | None = None, seed: int = 0, device: str = "auto",
               where: Sequence[str] = ("expression", "response", "groups")) -> tuple[OwnModel, list[str]]:  # fmt: skip
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
    where : three of str
        Files to name in messages.

    Returns
    -------
    OwnModel
    list of str
        What was found out and done about the tables; what needs attention begins with "warning: ".
    """
    filled, labels, found, notes = _ready(expression, response, units, where)
    if groups is not None:
        groups = _groups(groups, labels.index, where[2])
    estimator, X = make(model, profile, seed, device), filled.loc[labels.index]
    unlabelled = filled.drop(index=filled.index.intersection(tables.as_names(response.index)))
    estimator.fit(X, labels, unlabelled=unlabelled if len(unlabelled) else None, groups=groups)
    about = {"model": model, "unit": "z-score" if found == "z-score" else "log2(TPM+1)", "units": found,
             "source": list(map(str, where[:2])), "label": "response", "data": "user", "profile": profile.name,
             "seed": seed}  # fmt: skip
    return OwnModel.of(estimator, X, labels, about), notes


def _ready(expression: pd.DataFrame, response: pd.DataFrame, units: str,
           where: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame, str, list[str]]:  # fmt: skip
    """Return a user's tables as models take them: log expression, labels of samples that have both; unit, notes."""
    expression, response = (table.set_axis(tables.as_names(table.index), axis=0) for table in (expression, response))
    tables.refuse_turned(expression, response.index, NONE, where[0])
    tables.refuse_turned(response, expression.index, NONE, where[1])
    expression, named = with_gene_names(expression, where[0])
    logged, found, note = as_log(expression, units, where[0])
    filled, gaps = _filled(logged, where[0])
    labels, dropped = _labels(response, filled.index, where)
    sizes = {"perturbations": labels.shape[1], "labels": labels.notna().to_numpy().sum()}
    return filled, labels, found, [*named, note, *told("labels", len(labels), where[1], **sizes), *gaps, *dropped]


def lines_needed(expression: pd.DataFrame, response: pd.DataFrame, profile: Profile | str = "demo",
                 models: Sequence[str] = ("ps-ridge", "leap-plus"), shares: Sequence[float] = SHARES,
                 n_splits: int = 5, units: str = "auto", seed: int = 0,
                 device: str = "auto") -> pd.DataFrame:  # fmt: skip
    """Score models on unseen samples of one's own tables by how many of the others they are trained on.

    A fifth of the samples is held out in turn; of the others a share is for training, smaller ones within larger
    ones. LEAP ("leap") trains its autoencoders anew each time.

    Parameters
    ----------
    expression, response, profile, units, seed, device
        As in `fit_tables`.
    models : sequence of str
        Keys of `ESTIMATORS`.
    shares : sequence of float
    n_splits : int
        Random holdouts.

    Returns
    -------
    DataFrame
        As `leaplib.runs.experiment.load_curves`; `lp.pages.lines_needed` draws it.
    """
    X, Y, _, _ = _ready(expression, response, units, ("expression", "response"))
    X, rows = X.loc[Y.index], []
    for split in holdouts(X.index, n_splits, seed):
        for share, model in product(shares, models):
            part = thinned(split, share, Y)
            estimator = make(model, get_profile(profile), seed, device)
            estimator.fit(X.loc[part.train], Y.loc[part.train], unlabelled=X.drop(index=part.train))
            scores = score(Y.loc[split.test], estimator.predict(X.loc[split.test]))
            for metric, value in scores.groupby("metric", sort=False)["value"].mean().items():
                rows.append(("own tables", MODELS[model].name, share, len(part.train), split.name, metric, value))
    return pd.DataFrame(rows, columns=CURVE_COLUMNS[:-1]).assign(data="real")


def _filled(expression: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out genes with too many empty cells; the others' take the gene's mean."""
    kept = expression.loc[:, expression.isna().mean(axis=0) <= MAX_MISSING]
    if not kept.shape[1]:
        raise refusal("all_gaps", where)
    notes = told("gappy_genes", expression.shape[1] - kept.shape[1], where, most=MAX_MISSING)
    return kept.fillna(kept.mean(axis=0)), notes + told("gaps", kept.isna().to_numpy().sum(), where)


def _labels(response: pd.DataFrame, samples: pd.Index, where: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the response of samples with expression, without perturbations with too few labels and empty rows."""
    joined = samples[samples.isin(response.index)]
    others = response.index.difference(joined, sort=False)
    sides = f"such as {', '.join(others[:3])!r}; {where[0]} has {', '.join(samples[:3])!r}"
    if len(joined) < MIN_SAMPLES:
        raise refusal("join", where[1], n=len(joined), other=where[0], sides=sides)
    enough = response.loc[joined].notna().sum() >= MIN_LABELS
    kept = response.loc[joined, enough].dropna(how="all")
    if kept.empty:
        raise refusal("few_labels", where[1])
    alike = kept.columns[kept.nunique() == 1]
    rows = all(name.isdecimal() and int(name) <= len(samples) for name in samples)
    return kept, [
        *told("few_labels", (~enough).sum(), where[1], least=MIN_LABELS),
        *told("constant", len(alike), where[1], names=shown(alike)),
        *told("strangers", len(others), where[1], sides=sides),
        *told("joined_by_rows", rows, where[0]),
    ]


def _groups(groups: pd.Series, samples: pd.Index, where: str) -> pd.Series:
    """Return the group of each sample; an InputError names the file where there are too few."""
    of = groups.set_axis(tables.as_names(groups.index)).reindex(samples)
    if of.isna().any():
        found = {"sample": samples[of.isna()][0], "n": of.isna().sum(), "known": groups.index[0]}
        raise refusal("no_group", where, **found)
    if of.nunique() < 2:
        raise refusal("one_group", where)
    return of


def fit_task(profile: Profile, task_id: str, model: str = "leap", samples: pd.Index | None = None,
             groups: pd.Series | None = None, seed: int = 0, device: str = "auto") -> OwnModel:  # fmt: skip
    """Fit a model on a task's cohort; its autoencoders are those of the profile's runs, trained now or before.

    `samples` are those to train on, by default all cell lines of the task; `groups` are as in `fit_tables`, by
    default the tissues where the task is about unseen tissues. `seed` is that of the tuning folds.
    """
    task, estimator = get_task(task_id), make(model, profile, seed, device)
    cohort, _ = load_cohort(profile, task)
    rows = cohort.samples.index[cohort.samples["disease_model"] == "cell line"] if samples is None else samples
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
    return OwnModel.of(estimator, X, Y, about)


def fit_to_folder(out: str | Path, profile: Profile, expression: str | None = None, response: str | None = None,
                  task: str | None = None, groups: str | None = None, model: str = "leap", units: str = "auto",
                  **settings: Any) -> list[str]:  # fmt: skip
    """Fit on a user's files or on a task and write the model folder; return what to tell the user.

    `settings` are seed and device.
    """
    check_target(out)
    tables.refuse_overwriting(out, expression, response, groups)
    _estimator(model)
    if (expression is None) != (response is None) or (expression is None) == (task is None):
        raise InputError("give --expression and --response, or --task: one of the two ways")
    if groups is not None and task is not None:
        raise InputError("--groups goes with --expression and --response: a task has its own tissues")
    if expression is None or response is None:
        fitted, notes = fit_task(profile, str(task), model, **settings), list[str]()
    else:
        read = tables.read_table(expression), tables.read_table(response)
        known = None if groups is None else tables.read_groups(groups)
        told = [note for table in read for note in table.attrs.pop("notes")]
        where = expression, response, str(groups)
        fitted, notes = fit_tables(*read, profile, model, units, known, where=where, **settings)
        notes = told + notes
    fitted.save(out)
    n_samples, n_genes = len(fitted.calibration.folds), len(fitted.estimator.genes_)
    sizes = f"{n_samples:,} samples, {n_genes:,} genes and {len(fitted.estimator.perturbations_):,} perturbations"
    return [*notes, f"{model} on {sizes} ({fitted.about['data']} data): {out}"]


def predict_to_file(
    folder: str | Path, expression: str, out: str | Path, level: float = 0.9, **settings: Any
) -> list[str]:
    """Predict a user's file (`settings`: see `OwnModel.predict`) and write the table; return what to tell the user."""
    out = tables.place_of(out).path
    if out.is_dir() or Path(folder).resolve() in out.resolve().parents:
        raise refusal("taken", out)
    tables.refuse_overwriting(out, expression)
    model, table = OwnModel.load(folder), tables.read_table(expression)
    name, told = table.attrs.pop("names"), table.attrs.pop("notes")
    if gene_name(name) in model.reference.genes.index or name in model.estimator.perturbations_:
        raise refusal("gene_of_model", expression, name=name)
    frame, notes = model.predict(table, level=level, where=expression, **settings)
    tables.write_table(frame, out)
    sizes = f"{frame['sample'].nunique():,} samples x {frame['perturbation'].nunique():,} perturbations"
    return [*told, *notes, f"{sizes}, intervals of {level:.0%}: {out}"]
