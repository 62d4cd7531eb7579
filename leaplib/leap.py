"""LEAP: the average of perturbation-specific Lassos over several DAMAE representations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from leaplib.cohort import check_unique
from leaplib.damae import DAMAE, fit_damaes
from leaplib.errors import InputError
from leaplib.expression import ExpressionScaler
from leaplib.files import atomic_folder, write_text
from leaplib.regressors import PSLasso
from leaplib.regressors.base import seen
from leaplib.splits import tuning_folds
from leaplib.store import load_frame


def average(predictions: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the unweighted mean of prediction frames (samples x perturbations) with the same labels."""
    first = predictions[0]
    for other in predictions[1:]:
        if not (other.index.equals(first.index) and other.columns.equals(first.columns)):
            raise InputError("predictions to average differ in their samples or perturbations")
    values = np.mean([frame.to_numpy(dtype=np.float64) for frame in predictions], axis=0)
    return pd.DataFrame(values, index=first.index, columns=first.columns)


class Representations:
    """The scaler and the DAMAEs that LEAP's regressors share.

    Parameters
    ----------
    scaler : ExpressionScaler, fitted
    damaes : sequence of DAMAE, fitted
    """

    def __init__(self, scaler: ExpressionScaler, damaes: Sequence[DAMAE]):
        self.scaler, self.damaes = scaler, list(damaes)

    @classmethod
    def fit(cls, expression: pd.DataFrame, seeds: Sequence[int], n_genes: int = 5000, device: str = "auto",
            sources: pd.Series | None = None, **damae: Any) -> "Representations":  # fmt: skip
        """Choose genes, standardise and train one DAMAE a seed on all samples of `expression`.

        `sources` names the source of each sample: genes are chosen in each source and united.
        """
        scaler = ExpressionScaler(n_genes).fit(expression, sources=sources)
        damaes = fit_damaes(scaler.transform(expression), random_states=tuple(seeds), device=device, **damae)
        return cls(scaler, damaes)

    def transform(self, expression: pd.DataFrame) -> list[pd.DataFrame]:
        """Return one frame a DAMAE, samples x components."""
        scaled = self.scaler.transform(expression)
        return [pd.DataFrame(damae.transform(scaled), index=expression.index) for damae in self.damaes]

    def save(self, folder: str | Path) -> Path:
        """Write `scaler.parquet` and, for each DAMAE, `damae_<number>` (.safetensors, .json) to a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"mean": self.scaler.mean_, "scale": self.scaler.scale_}).to_parquet(folder / "scaler.parquet")
        for number, damae in enumerate(self.damaes):
            damae.save(folder / f"damae_{number}")
        return folder

    @classmethod
    def load(cls, folder: str | Path, n_damaes: int) -> "Representations":
        """Read what `save` wrote, or a run's pretraining; a missing or damaged file is an InputError."""
        learned = load_frame(Path(folder) / "scaler.parquet")
        scaler = ExpressionScaler(len(learned))
        scaler.genes_, scaler.mean_, scaler.scale_ = learned.index, learned["mean"], learned["scale"]
        return cls(scaler, [DAMAE.load(Path(folder) / f"damae_{number}") for number in range(n_damaes)])


class LEAP(BaseEstimator):
    """Layered Ensemble of Autoencoders and Predictors (arXiv 2502.15646, Figure 1).

    Five DAMAEs, trained without labels from five seeds, each give a representation; on each a PS-LASSO is
    tuned by 5-fold cross-validation and averaged over the folds; LEAP is the mean of the five.

    Parameters
    ----------
    n_representations : int
        DAMAEs.
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of everything: the DAMAEs use `random_state`, `random_state + 1`, ..., the folds `random_state`.
    device : {"auto", "cpu", "cuda"}
    damae : mapping, optional
        Settings of `leaplib.DAMAE` that differ from its defaults, which are the paper's.
    n_alphas : int
        Penalties tried a perturbation.

    Attributes
    ----------
    representations_ : Representations
    members_ : list of PSLasso
        One a representation.
    folds_ : Series
        Tuning fold of each training sample.

    Examples
    --------
    >>> model = LEAP(n_representations=5, random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    def __init__(self, n_representations: int = 5, n_genes: int = 5000, random_state: int = 0,
                 device: str = "auto", damae: Mapping[str, Any] | None = None, n_alphas: int = 10):  # fmt: skip
        self.n_representations = n_representations
        self.n_genes = n_genes
        self.random_state = random_state
        self.device = device
        self.damae = damae
        self.n_alphas = n_alphas

    def fit(self, X: pd.DataFrame, Y: pd.DataFrame, unlabelled: pd.DataFrame | None = None,
            groups: pd.Series | None = None) -> "LEAP":  # fmt: skip
        """Train on expression and responses.

        Parameters
        ----------
        X : DataFrame, samples x genes
            Expression on a log scale.
        Y : DataFrame, samples x perturbations
            NaN where not measured; the same samples as X, in any order.
        unlabelled : DataFrame, samples x genes, optional
            Further expression for pretraining only, such as that of the samples to predict. Samples that
            stand in X too are taken once.
        groups : Series, optional
            Group (tissue) of each sample: tuning folds then never divide a group.

        Raises
        ------
        InputError
            When samples or genes of the tables do not match, repeat, or values are missing.
        """
        self._check(X, Y)
        pool, sources = self._pool(X, unlabelled)
        seeds = range(self.random_state, self.random_state + self.n_representations)
        representations = Representations.fit(
            pool, seeds, self.n_genes, self.device, sources, **dict(self.damae or {})
        )  # fmt: skip
        return self.fit_members(representations, X, Y, groups)

    def fit_members(self, representations: Representations, X: pd.DataFrame, Y: pd.DataFrame,
                    groups: pd.Series | None = None) -> "LEAP":  # fmt: skip
        """Fit the PS-LASSOs on representations that were trained before; otherwise as `fit`."""
        self._check(X, Y)
        self.representations_ = representations
        self.folds_ = tuning_folds(X.index, self.random_state, groups)
        self.members_ = [
            PSLasso(self.n_alphas, device=self.device).fit(codes, Y.loc[X.index], self.folds_)
            for codes in representations.transform(X)
        ]
        return self

    def predict(self, X: pd.DataFrame, perturbations: Sequence[Any] | None = None) -> pd.DataFrame:
        """Return predicted responses, samples x perturbations (all, or those asked for)."""
        check_is_fitted(self)
        columns = seen(self.members_[0].perturbations_, perturbations)
        return average(self.predict_members(X))[columns]

    def predict_members(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the predictions of each representation's PS-LASSO."""
        check_is_fitted(self)
        codes = self.representations_.transform(X)
        return [member.predict(code) for member, code in zip(self.members_, codes, strict=True)]

    def predict_each(self, X: pd.DataFrame) -> np.ndarray:
        """Return the predictions of every regressor, representations x folds x samples x perturbations.

        The regressors of fold k were fitted without the training samples of fold k (`folds_`).
        """
        check_is_fitted(self)
        codes = self.representations_.transform(X)
        return np.stack([member.predict_folds(code) for member, code in zip(self.members_, codes, strict=True)])

    def features(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return what the regressors see of samples, one frame (samples x features) a representation."""
        check_is_fitted(self)
        return self.representations_.transform(X)

    @property
    def perturbations_(self) -> pd.Index:
        """Perturbations that the model was fitted on."""
        check_is_fitted(self)
        return self.members_[0].perturbations_

    @property
    def genes_(self) -> pd.Index:
        """Genes that `predict` needs."""
        check_is_fitted(self)
        return self.representations_.scaler.genes_

    def save(self, folder: str | Path) -> Path:
        """Write the fitted model to a folder of its own (replaced if there): safetensors, JSON and parquet."""
        check_is_fitted(self)
        with atomic_folder(folder) as temporary:
            self.representations_.save(temporary)
            self.folds_.to_frame().to_parquet(temporary / "folds.parquet")
            for number, member in enumerate(self.members_):
                member.save(temporary / f"member_{number}")
            parameters = self.get_params() | {"damae": None if self.damae is None else dict(self.damae)}
            meta = {"model": type(self).__name__, "parameters": parameters, "n_members": len(self.members_)}
            write_text(temporary / "leap.json", json.dumps(meta, indent=1))
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> "LEAP":
        """Read what `save` wrote; predictions are equal to the bit.

        Raises
        ------
        InputError
            If a file is missing or damaged, or holds another kind of model.
        """
        folder = Path(folder)
        try:
            meta = json.loads((folder / "leap.json").read_text(encoding="utf-8"))
            model = cls(**meta["parameters"])
            n_members, kind = int(meta["n_members"]), meta["model"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder}: not a saved {cls.__name__} ({error}): save it again") from error
        if kind != cls.__name__:
            raise InputError(f"{folder}: holds a {kind}, not a {cls.__name__}: load it with its own class")
        model.representations_ = Representations.load(folder, n_members)
        model.members_ = [PSLasso.load(folder / f"member_{number}") for number in range(n_members)]
        model.folds_ = load_frame(folder / "folds.parquet")["fold"]
        return model

    @staticmethod
    def _check(X: pd.DataFrame, Y: pd.DataFrame) -> None:
        for frame, what in ((X, "expression"), (Y, "responses")):
            if not isinstance(frame, pd.DataFrame):
                raise InputError(f"{what}: expected a DataFrame with samples as rows, got {type(frame).__name__}")
            check_unique(frame.index, "sample", what)
            check_unique(frame.columns, "column", what)
        apart = X.index.symmetric_difference(Y.index)
        if len(apart):
            raise InputError(f"sample {apart[0]!r} is not in both expression and responses ({len(apart)} such)")

    @staticmethod
    def _pool(X: pd.DataFrame, unlabelled: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.Series | None]:
        """Return all expression for pretraining, and where each sample comes from."""
        if unlabelled is None:
            return X, None
        check_unique(unlabelled.index, "sample", "unlabelled expression")
        further = unlabelled.loc[unlabelled.index.difference(X.index, sort=False)]
        if not len(X.columns.intersection(further.columns)):
            raise InputError("expression and unlabelled expression have no gene in common: use the same gene symbols")
        pool = pd.concat([X, further], join="inner")
        return pool, pd.Series(np.where(pool.index.isin(X.index), "labelled", "unlabelled"), index=pool.index)
