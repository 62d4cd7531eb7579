"""The models in one table, the paper's and others: README, notebooks, command line and runs take them from here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.models.base import Regressor
from leaplib.models.knn import PSKNN
from leaplib.models.lasso import PSLasso
from leaplib.models.networks import PPMlp, PPTdnn
from leaplib.models.ridge import DualRidge, SharedKernelRidge
from leaplib.models.tcrp import PSTcrp
from leaplib.models.trees import PPLgbm, PSForest, PSLgbm
from leaplib.models.tuning import Tuned


@dataclass(frozen=True)
class Model:
    """A model and what it is called.

    Parameters
    ----------
    key : str
        Name on the command line and in profiles.
    name : str
        Name in tables and figures.
    about : str
        What it is, in a few words.
    estimator : type of Regressor, or None
        None for a mean over representations. Its default parameters are the paper's.
    designs : tuple of str
        Designs of the tasks that it runs on.
    few_shot : bool
        Is also fine-tuned on a few samples of the target.
    features : {"codes", "expression"}
        What it sees of a sample: a DAMAE's code, or standardised genes.
    published : bool
        Stands in the paper: the paper's claims are about these alone.
    averages, representation : str
        Of a mean: the model that is averaged, and the representations that it is fitted on, as
        `leaplib.representation.pretraining.make_representation` knows them.
    usual : bool
        Runs where no models are named.
    """

    key: str
    name: str
    about: str
    estimator: type[Regressor] | None
    designs: tuple[str, ...] = ("holdout", "tissue", "xenograft")
    few_shot: bool = False
    features: Literal["codes", "expression"] = "codes"
    published: bool = True
    averages: str = ""
    representation: str = "damae"
    usual: bool = True

    @property
    def pan_perturbation(self) -> bool:
        """Whether one model is fitted on all perturbations."""
        return bool(getattr(self.estimator, "pan_perturbation", False))


def _layer(key: str, name: str, averages: str, seen: str, representation: str = "damae") -> Model:
    """Return a control of LEAP: its mean over representations, with something in the place of Lassos or DAMAEs."""
    about = f"average of {averages} over five {seen}"
    return Model(key, name, about, None, ("holdout", "tissue"), published=False, averages=averages,
                 representation=representation, usual=False)  # fmt: skip


MODELS = {
    model.key: model
    for model in (
        Model("pp-lgbm", "PP-LGBM", "boosted trees, one model of all (line, perturbation) pairs", PPLgbm),
        Model("pp-tdnn", "PP-tDNN", "network with a half for lines and a half for perturbations", PPTdnn),
        Model("pp-mlp", "PP-MLP", "network on lines and perturbations, trained on correlation", PPMlp),
        Model("ps-knn", "PS-KNN", "mean of the 5 nearest training lines that were measured", PSKNN),
        Model("ps-lgbm", "PS-LGBM", "boosted trees, one model a perturbation", PSLgbm),
        Model("ps-tcrp", "PS-TCRP", "meta-learned network a perturbation; zero-shot and 10-shot", PSTcrp,
              designs=("tissue", "xenograft"), few_shot=True),
        Model("ps-lasso", "PS-LASSO", "one Lasso a perturbation on one representation", PSLasso),
        Model("ps-ridge", "PS-RIDGE", "one ridge regression a perturbation on all genes: no autoencoder", DualRidge,
              features="expression", published=False),
        Model("leap", "LEAP", "average of PS-LASSO over the representations", None, averages="PS-LASSO"),
        Model("leap-plus", "LEAP+", "Gaussian kernel ridge regression on all genes, one penalty: no autoencoder",
              SharedKernelRidge, features="expression", published=False),
        Model("ps-rf", "PS-RF", "one random forest a perturbation on all genes", PSForest, features="expression",
              published=False, usual=False),
        _layer("lasso-pca", "LEAP on PCA views", "PS-LASSO", "PCAs of half of the genes and 80% of the lines",
               "pca view"),
        _layer("lasso-random", "LEAP on random projections", "PS-LASSO", "random projections of the genes",
               "random projection"),
        _layer("lasso-linear", "LEAP on linear encoders", "PS-LASSO", "encoders without hidden layer and noise",
               "linear encoder"),
        _layer("leap-knn", "LEAP over PS-KNN", "PS-KNN", "DAMAEs"),
        _layer("leap-lgbm", "LEAP over PS-LGBM", "PS-LGBM", "DAMAEs"),
    )
}  # fmt: skip
USUAL = tuple(key for key, model in MODELS.items() if model.usual)
"""The models that run where none are named."""
CONTROLS = {
    "training-mean": "Training mean",
    "tissue-mean": "Tissue mean",
    "mean-effects": "Mean effects",
    "leap-shuffled": "LEAP (shuffled labels)",
}
BY_NAME = {model.name: model for model in MODELS.values()}
FEW_SHOT = " (10-shot)"

ELSEWHERE = ("random_state", "device", "n_jobs", "precision", "grid", "ensemble")
"""Parameters that say nothing of the model, stand in a column of their own, or are for the ablations."""


def names() -> list[str]:
    """Return the models' names in the order of tables and figures, few-shot versions behind their own."""
    return [name for model in MODELS.values()
            for name in (model.name, *([model.name + FEW_SHOT] if model.few_shot else []))]  # fmt: skip


def with_few_shot(name: str) -> list[str]:
    """Return the names of what fitting a model gives: its own and, where it is fine-tuned too, that one's."""
    return [name, name + FEW_SHOT] if name in BY_NAME and BY_NAME[name].few_shot else [name]


def check_models(keys: Sequence[str]) -> tuple[str, ...]:
    """Return command-line model names as they are; an unknown one is an InputError that lists the known."""
    for key in keys:
        if key not in MODELS:
            raise InputError(f"model {key!r} is unknown: use one of {', '.join(MODELS)}")
    return tuple(keys)


def make(model: Model, settings: Mapping[str, Any], device: str) -> Regressor:
    """Return a model's estimator with the paper's parameters but for `settings`."""
    if model.estimator is None:
        raise InputError(f"{model.name} has no estimator of its own: it averages {model.averages}")
    estimator = model.estimator(**settings)
    return estimator.set_params(device=device) if "device" in estimator.get_params() else estimator


def hyper_parameters(settings: Mapping[str, Mapping[str, Any]] | None = None) -> pd.DataFrame:
    """Return what each model tunes and what it keeps fixed.

    Parameters
    ----------
    settings : mapping of model key to parameters, optional
        Those of a profile that differ from the paper's.

    Returns
    -------
    DataFrame
        model, about, tuned, points (tried by cross-validation), fixed.
    """
    rows = []
    for model in MODELS.values():
        chosen = (settings or {}).get(BY_NAME[model.averages or model.name].key, {})
        tuned, points, fixed = _parameters(model, chosen)
        rows.append({"model": model.name, "about": model.about, "tuned": tuned, "points": points, "fixed": fixed})
    return pd.DataFrame(rows)


def _parameters(model: Model, settings: Mapping[str, Any]) -> tuple[str, int, str]:
    """Return in words what a model tunes, over how many points, and what is fixed."""
    if model.estimator is None:
        points = _parameters(BY_NAME[model.averages], settings)[1]
        return f"as {model.averages}", points, "mean over representations and folds"
    estimator = model.estimator(**settings)
    parameters = estimator.get_params()
    fixed = ", ".join(f"{name} {_text(value)}" for name, value in parameters.items() if name not in ELSEWHERE)
    if isinstance(estimator, PSLasso):
        return f"penalty: {estimator.n_alphas} from alpha_max to {estimator.eps:g} of it", estimator.n_alphas, ""
    if isinstance(estimator, DualRidge):
        ends = f"penalty: {estimator.n_penalties} from {estimator.largest:g} to {estimator.smallest:g} mean eigenvalues"
        return ends, estimator.n_penalties, ""
    if not isinstance(estimator, Tuned):
        return "nothing", 1, fixed
    grid = parameters["grid"] or estimator.default_grid
    text = "; ".join(f"{name}: {', '.join(_text(value) for value in values)}" for name, values in grid.items())
    return text, len(estimator.points()), fixed


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "-".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
