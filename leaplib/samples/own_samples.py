"""LEAP on a user's own samples: fit, keep, predict with uncertainty and biomarkers (`leap fit`, `leap predict`)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.store import atomic_folder, load_frame, save_frame, sha256, versions, write_text
from leaplib.cohorts.prepare import load_cohort
from leaplib.models.leap import LEAP, LEAPPlus, PSRidge
from leaplib.profiles import Profile
from leaplib.representation.pretraining import representations
from leaplib.samples.biomarkers import biomarkers
from leaplib.samples.matching import MAX_MISSING, Reference
from leaplib.samples.tables import (
    as_log,
    as_names,
    place_of,
    read_groups,
    read_table,
    refuse_overwriting,
    refuse_turned,
    write_table,
)
from leaplib.samples.uncertainty import Applicability, Calibration
from leaplib.sources.genes import gene_name, with_gene_names
from leaplib.tasks import get_task

ESTIMATORS: dict[str, type] = {"leap": LEAP, "ps-ridge": PSRidge, "leap-plus": LEAPPlus}
"""Models that a user can fit, by their key in `leaplib.models.table`."""

FRAMES = ("genes", "scores", "biomarkers", "quantiles", "folds", "usual", "distances", "scales")
MIN_LABELS = 10
MIN_SAMPLES = 20
FAR = 0.05  # applicability below which a sample is reported as far from the training set
FORMAT, VERSION, RECORD = "leaplib.model", 1, "model.json"


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

    def predict(
        self,
        expression: pd.DataFrame,
        units: str = "auto",
        match: str = "none",
        level: float = 0.9,
        max_missing: float = MAX_MISSING,
        where: str = "expression",
    ) -> tuple[pd.DataFrame, list[str]]:
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
        refuse_turned(expression, pd.Index([]), self.reference.genes.index, where)
        expression, named = with_gene_names(expression, where, self.reference.genes.index)
        logged, units, note = as_log(expression, units, where, self.reference.unit != "z-score", match != "none")
        ready, done = self.reference.prepare(logged, units, match, max_missing, where)
        found = self.calibration.intervals(self.estimator, ready, level)
        score = self.applicability.score(self.estimator.features(ready))
        far = int((score["applicability"] < FAR).sum())
        if far:
            said = f"{far} of {len(score)} samples are far from the training set (applicability below {FAR:g})"
            done.append(f"warning: {said}")
        frame = pd.DataFrame({name: part.stack() for name, part in found.items()})
        frame = frame.rename_axis(["sample", "perturbation"]).reset_index().join(score, on="sample")
        frame["biomarkers"] = frame["perturbation"].map(self._named()).fillna("")
        frame["note"] = frame["perturbation"].map(self.calibration.notes(level))
        return frame, [*named, note, *done]

    def _named(self, n_genes: int = 5) -> pd.Series:
        """Return the first biomarkers of each perturbation in words."""
        first = self.biomarkers[(self.biomarkers["rank"] <= n_genes) & (self.biomarkers["weight"] != 0)]
        words = first["gene"] + np.where(first["weight"] > 0, " +", " -")
        return words.groupby(first["perturbation"], sort=False).agg("; ".join)

    def save(self, folder: str | Path) -> Path:
        """Write the model to a folder, whole or not at all; an earlier model is replaced, other files are not."""
        folder = check_target(folder)
        frames = {
            "genes": self.reference.genes,
            "scores": self.calibration.scores,
            "biomarkers": self.biomarkers,
            "quantiles": pd.DataFrame({"value": self.reference.quantiles}),
            "folds": self.calibration.folds.to_frame("fold"),
            "usual": self.calibration.usual.to_frame("spread"),
            "distances": pd.DataFrame({"distance": self.applicability.distances}),
            "scales": pd.DataFrame({"scale": self.applicability.scales}),
        }
        frames |= {f"features_{i}": frame.rename(columns=str) for i, frame in enumerate(self.applicability.features)}
        with atomic_folder(folder) as temporary:
            self.estimator.save(temporary / "estimator")
            for name, frame in frames.items():
                save_frame(frame, temporary / f"{name}.parquet", {})
            paths = [path for path in sorted(temporary.rglob("*")) if path.is_file()]
            files = {path.relative_to(temporary).as_posix(): sha256(path) for path in paths}
            record = {"format": FORMAT, "version": VERSION, **self.about, "usual": self.reference.usual}
            record |= {"packages": versions(), "files": files}
            write_text(temporary / RECORD, json.dumps(record, indent=1))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "OwnModel":
        """Read a model folder that `save` wrote; an InputError when it is damaged, incomplete, or newer."""
        folder = Path(folder)
        about = _read_record(folder)
        estimator = estimator_of(about.get("model", "")).load(folder / "estimator")
        read = {name: load_frame(folder / f"{name}.parquet") for name in FRAMES}
        scales = read["scales"]["scale"].to_numpy()
        features = [load_frame(folder / f"features_{number}.parquet") for number in range(len(scales))]
        reference = Reference(
            read["genes"], read["quantiles"]["value"].to_numpy(), about["unit"], about.get("usual", {})
        )
        calibration = Calibration(read["scores"], read["folds"]["fold"], read["usual"]["spread"])
        applicability = Applicability(features, read["distances"]["distance"].to_numpy(), scales)
        return cls(estimator, reference, calibration, applicability, read["biomarkers"], about)


def check_target(folder: str | Path) -> Path:
    """Refuse to replace what is no model folder."""
    folder = Path(folder)
    if not folder.exists():
        return folder
    here = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if not folder.is_dir() or (RECORD not in here and any(folder.iterdir())):
        raise InputError(f"{folder}: is there and no model folder: choose another folder")
    try:
        known = {RECORD, *json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]} if here else set()
    except (ValueError, LookupError, TypeError):
        known = {RECORD}
    others = [name for name in here if name not in known]
    if others:
        raise InputError(f"{folder}: holds {others[0]!r}, which is no file of a model: choose another folder")
    return folder


def _read_record(folder: Path) -> dict[str, Any]:
    """Return `model.json` after checking format, version and every file."""
    remedy = "give a folder that `leap fit` wrote"
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        kind, version, files = record["format"], int(record["version"]), dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: no model folder, or its {RECORD} is damaged: {remedy}") from error
    if kind != FORMAT:
        raise InputError(f"{folder}: its format is {kind!r}, not {FORMAT!r}: {remedy}")
    if version > VERSION:
        problem = f"format version {version} is newer than {VERSION}, the newest that this leaplib reads"
        raise InputError(f"{folder}: {problem}: update leaplib")
    for name, checksum in files.items():
        path = folder / name
        inside = path.resolve().is_relative_to(folder.resolve())
        if not inside or path.suffix not in (".safetensors", ".json", ".parquet"):
            raise InputError(f"{folder}: {RECORD} lists {name!r}, which is no file of a model: fit the model again")
        if not path.is_file() or sha256(path) != checksum:
            raise InputError(
                f"{path}: is missing, damaged or was changed: copy the whole folder, or fit the model again"
            )
    return record


def estimator_of(model: str) -> Any:
    """Return the class of a model; an unknown name is an InputError that lists the known ones."""
    if model not in ESTIMATORS:
        raise InputError(f"model {model!r} is unknown: use one of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[model]


def make(model: str, profile: Profile, seed: int, device: str) -> Any:
    """Return an estimator with the sizes of a profile."""
    kind = estimator_of(model)
    sizes = {"n_representations": profile.n_representations, "n_genes": profile.n_genes, "damae": dict(profile.damae)}
    known, settings = kind().get_params(), {**sizes, "random_state": seed, "device": device}
    return kind(**{name: value for name, value in settings.items() if name in known})


def fit_tables(
    expression: pd.DataFrame,
    response: pd.DataFrame,
    profile: Profile,
    model: str = "leap",
    units: str = "auto",
    groups: pd.Series | None = None,
    seed: int = 0,
    device: str = "auto",
    where: Sequence[str] = ("expression", "response", "groups"),
) -> tuple[OwnModel, list[str]]:
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
    expression, response = (table.set_axis(as_names(table.index), axis=0) for table in (expression, response))
    refuse_turned(expression, response.index, pd.Index([]), where[0])
    refuse_turned(response, expression.index, pd.Index([]), where[1])
    expression, named = with_gene_names(expression, where[0])
    logged, found, note = as_log(expression, units, where[0])
    filled, gaps = _filled(logged, where[0])
    labelled = filled.index[filled.index.isin(response.index)]
    others = response.index.difference(labelled, sort=False)
    sides = f"such as {', '.join(others[:3])!r}; {where[0]} has {', '.join(filled.index[:3])!r}"
    if len(labelled) < MIN_SAMPLES:
        problem = f"{len(labelled)} samples are in {where[0]} too, {MIN_SAMPLES} are needed ({sides})"
        raise InputError(f"{where[1]}: {problem}: use the same names of samples in both, as rows")
    labels, dropped = _labels(response.loc[labelled], where[1])
    if len(others):
        dropped.append(f"warning: {where[1]}: {len(others)} samples have no expression and are left out ({sides})")
    if all(name.isdecimal() and int(name) <= len(filled) for name in filled.index):
        dropped.append(f"warning: {where[0]}: samples are joined by numbers such as '0': are these no numbers of rows?")
    if groups is not None:
        groups = _groups(groups, labels.index, where[2])
    estimator = make(model, profile, seed, device)
    unlabelled = filled.drop(index=labelled)
    X = filled.loc[labels.index]
    estimator.fit(X, labels, unlabelled=unlabelled if len(unlabelled) else None, groups=groups)
    unit = "z-score" if found == "z-score" else "log2(TPM+1)"
    about: dict[str, Any] = {"model": model, "unit": unit, "units": found, "source": list(map(str, where[:2]))}
    about |= {"label": "response", "data": "user", "profile": profile.name, "seed": seed}
    counted = f"{len(labels):,} samples x {labels.shape[1]:,} perturbations, {labels.notna().to_numpy().sum():,} labels"
    notes = [*named, note, f"{where[1]}: {counted}", *gaps, *dropped]
    return OwnModel.of(estimator, X, labels, about), notes


def _filled(expression: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out genes with too many empty cells; the others' take the gene's mean."""
    kept = expression.loc[:, expression.isna().mean(axis=0) <= MAX_MISSING]
    if not kept.shape[1]:
        raise InputError(f"{where}: every gene lacks more than {MAX_MISSING:.0%} of its values: check the table")
    notes = []
    dropped, empty = expression.shape[1] - kept.shape[1], int(kept.isna().to_numpy().sum())
    if dropped:
        notes.append(f"warning: {where}: {dropped:,} genes with over {MAX_MISSING:.0%} empty cells are left out")
    if empty:
        notes.append(f"warning: {where}: {empty:,} empty cells take the gene's mean")
    return kept.fillna(kept.mean(axis=0)), notes


def _labels(response: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out perturbations with too few labels, and samples without any."""
    enough = response.notna().sum() >= MIN_LABELS
    kept = response.loc[:, enough].dropna(how="all")
    if not kept.shape[1]:
        raise InputError(f"{where}: no perturbation has {MIN_LABELS} labels on samples with expression: give more")
    few, alike = int((~enough).sum()), kept.columns[kept.nunique() == 1]
    notes = [f"warning: {where}: {few} perturbations with fewer than {MIN_LABELS} labels are left out"] if few else []
    if len(alike):
        said = f"{len(alike)} perturbations have the same value in every sample ({alike[0]!r} first)"
        notes.append(f"warning: {where}: {said}: nothing can be learnt of them")
    return kept, notes


def _groups(groups: pd.Series, samples: pd.Index, where: str) -> pd.Series:
    """Return the group of each sample; an InputError names the file where there are too few."""
    of = groups.set_axis(as_names(groups.index)).reindex(samples)
    if of.isna().any():
        problem = f"sample {samples[of.isna()][0]!r} has no group ({of.isna().sum()} such; it has {groups.index[0]!r})"
        raise InputError(f"{where}: {problem}: every sample with a response needs one")
    if of.nunique() < 2:
        raise InputError(f"{where}: all samples are of one group: give two groups or more, or leave --groups out")
    return of


def fit_task(
    profile: Profile,
    task_id: str,
    model: str = "leap",
    samples: pd.Index | None = None,
    groups: pd.Series | None = None,
    seed: int = 0,
    device: str = "auto",
) -> OwnModel:
    """Fit a model on a task's cohort; its autoencoders are those of the profile's runs, trained now or before.

    `samples` are those to train on, by default all cell lines of the task; `groups` are as in `fit_tables`, by
    default the tissues where the task is about unseen tissues. `seed` is that of the tuning folds.
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
    about: dict[str, Any] = {"model": model, "unit": cohort.unit, "source": [f"task {task.id}"], "label": cohort.label}
    about |= {"data": cohort.data, "profile": profile.name, "seed": seed}
    return OwnModel.of(estimator, X, Y, about)


def fit_to_folder(
    out: str | Path,
    profile: Profile,
    expression: str | None = None,
    response: str | None = None,
    task: str | None = None,
    groups: str | None = None,
    model: str = "leap",
    units: str = "auto",
    **settings: Any,
) -> list[str]:
    """Fit on a user's files or on a task and write the model folder; return what to tell the user.

    `settings` are seed and device.
    """
    check_target(out)
    refuse_overwriting(out, expression, response, groups)
    estimator_of(model)
    if (expression is None) != (response is None) or (expression is None) == (task is None):
        raise InputError("give --expression and --response, or --task: one of the two ways")
    if groups is not None and task is not None:
        raise InputError("--groups goes with --expression and --response: a task has its own tissues")
    if expression is None or response is None:
        fitted, notes = fit_task(profile, str(task), model, **settings), list[str]()
    else:
        tables = read_table(expression), read_table(response)
        read = [note for table in tables for note in table.attrs.pop("notes")]
        known = None if groups is None else read_groups(groups)
        where = expression, response, str(groups)
        fitted, notes = fit_tables(*tables, profile, model, units, known, where=where, **settings)
        notes = read + notes
    fitted.save(out)
    n_samples, n_genes = len(fitted.calibration.folds), len(fitted.estimator.genes_)
    sizes = f"{n_samples:,} samples, {n_genes:,} genes and {len(fitted.estimator.perturbations_):,} perturbations"
    return [*notes, f"{model} on {sizes} ({fitted.about['data']} data): {out}"]


def predict_to_file(
    folder: str | Path, expression: str, out: str | Path, level: float = 0.9, **settings: Any
) -> list[str]:
    """Predict a user's file (`settings`: see `OwnModel.predict`) and write the table; return what to tell the user."""
    out = place_of(out).path
    if out.is_dir():
        raise InputError(f"{out}: is a folder: give the name of a file")
    refuse_overwriting(out, expression)
    if Path(folder).resolve() in out.resolve().parents:
        raise InputError(f"{out}: lies in the model's folder: choose another place")
    model, table = OwnModel.load(folder), read_table(expression)
    name, read = table.attrs.pop("names"), table.attrs.pop("notes")
    if gene_name(name) in model.reference.genes.index or name in model.estimator.perturbations_:
        problem = f"the column of names is {name!r}, a gene or perturbation of the model"
        raise InputError(f"{expression}: {problem}: was it saved without its index? Give names in the first column")
    frame, notes = model.predict(table, level=level, where=expression, **settings)
    write_table(frame, out)
    sizes = f"{frame['sample'].nunique():,} samples x {frame['perturbation'].nunique():,} perturbations"
    return [*read, *notes, f"{sizes}, intervals of {level:.0%}: {out}"]
