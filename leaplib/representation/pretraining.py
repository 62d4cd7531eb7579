"""What a regressor sees of a sample: DAMAEs on standardised genes, trained once a pool, and their rivals.

From top to bottom: the representations that there are, the five of LEAP with their scaler, and those of a pool of
samples, saved and found again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import FunctionTransformer
from sklearn.random_projection import GaussianRandomProjection
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.matrices import finite_matrix, in_order
from leaplib.base.store import code_version, is_done, key_of, load_frame, save_frame
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.cohorts.prepare import pool_key, pool_name, pool_of
from leaplib.profiles import Profile, get_profile
from leaplib.representation.damae import DAMAE, learn_genes
from leaplib.tasks import HARMONISE, Task, get_task, harmonised

AUTOENCODERS: dict[str, Mapping[str, Any]] = {
    "ae": {"corruption": 0.0, "noise": 0.0},
    "masked ae": {"noise": 0.0},
    "noise ae": {"corruption": 0.0},
    "damae": {},
    "damae, row corruption": {"masking": "row"},
    "damae, no hidden layer": {"n_hidden": 0},
    "linear encoder": {"n_hidden": 0, "noise": 0.0, "masking": "row"},
    "damae, half width": {"n_hidden": 256, "n_components": 128},
    "damae, double width": {"n_hidden": 1024, "n_components": 512},
    "damae, two hidden layers": {"n_layers": 2},
    "damae, 100 epochs": {"holdout": 0.0, "max_epochs": 100},
    "damae, 1,000 epochs": {"holdout": 0.0, "max_epochs": 1000},
    "damae, corruption 0.15": {"corruption": 0.15},
    "damae, corruption 0.5": {"corruption": 0.5},
}
"""The settings of DAMAE that make each variant what it is."""

OTHERS = ("identity", "pca", "pca view", "random projection")
"""What is no autoencoder: the scaled expression itself; principal components, as many as genes and samples (less one)
allow; those of a part of the samples and genes, drawn by the seed; normal weights of variance 1 / n_components."""
VIEW = (0.8, 0.5)  # shares of the samples and genes


class Plain(TransformerMixin, BaseEstimator):
    """A representation that is no autoencoder, one of `OTHERS`; input and errors as in `DAMAE`."""

    def __init__(self, kind: str = "identity", n_components: int = 256, random_state: int = 0):
        self.kind = kind
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: pd.DataFrame | np.ndarray, y: object = None) -> Self:
        """Learn from X, samples x genes."""
        values = finite_matrix(X)
        rng, drawn = np.random.default_rng(self.random_state), [np.arange(n) for n in values.shape]
        if self.kind == "pca view":
            drawn = [np.sort(rng.choice(n, max(round(share * n), 1), replace=False))
                     for n, share in zip(values.shape, VIEW, strict=True)]  # fmt: skip
        self.columns_ = drawn[1]
        self.model_ = self._model(*map(len, drawn)).fit(values[np.ix_(*drawn)])
        learn_genes(self, X)
        return self

    def _model(self, n_samples: int, n_genes: int) -> BaseEstimator:
        if self.kind == "identity":
            return FunctionTransformer()
        if self.kind == "random projection":
            return GaussianRandomProjection(self.n_components, random_state=self.random_state)
        if n_samples < 2 or self.n_components < 1:
            raise InputError(f"{self.n_components} components of {n_samples} samples: give at least 1 of at least 2")
        return PCA(min(self.n_components, n_samples - 1, n_genes), svd_solver="full")

    def transform(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Return the representation of samples (float32, samples x components)."""
        check_is_fitted(self, "model_")
        return self.model_.transform(finite_matrix(in_order(X, self))[:, self.columns_]).astype(np.float32)


REPRESENTATIONS = (*OTHERS, *AUTOENCODERS)


def make_representation(name: str, random_state: int, **damae: Any) -> Plain | DAMAE:
    """Return a transformer, not yet fitted, by its name in `REPRESENTATIONS`.

    `damae` are the settings that all autoencoders share; what makes a variant what it is prevails. Others take of them
    `n_components` and the seed.
    """
    if name not in REPRESENTATIONS:
        raise InputError(f"representation {name!r} is unknown: use one of {'; '.join(REPRESENTATIONS)}")
    unknown = damae.keys() - DAMAE().get_params()
    if unknown:
        raise InputError(f"setting {min(unknown)!r} is unknown: DAMAE has {', '.join(DAMAE().get_params())}")
    damae = {**damae, **AUTOENCODERS.get(name, {}), "random_state": random_state}
    if name in AUTOENCODERS:
        return DAMAE(**damae)
    return Plain(name, **{key: damae[key] for key in ("n_components", "random_state") if key in damae})


class Representations:
    """The scaler and the DAMAEs (both fitted) that LEAP's regressors share."""

    def __init__(self, scaler: ExpressionScaler, damaes: Sequence[DAMAE]):
        self.scaler, self.damaes = scaler, list(damaes)

    @classmethod
    def fit(cls, expression: pd.DataFrame, seeds: Sequence[int], n_genes: int = 5000, device: str = "auto",
            sources: pd.Series | None = None, **damae: Any) -> Self:  # fmt: skip
        """Choose genes, standardise and train one DAMAE a seed on all samples of `expression`.

        `sources` names the source of each sample: genes are chosen in each source and united.
        """
        if not len(seeds):
            raise InputError("no seeds: give at least one, as many as there shall be representations")
        scaler = ExpressionScaler(n_genes).fit(expression, sources=sources)
        scaled = scaler.transform(expression)
        return cls(scaler, [DAMAE(random_state=seed, device=device, **damae).fit(scaled) for seed in seeds])

    def transform(self, expression: pd.DataFrame) -> list[pd.DataFrame]:
        """Return one frame a DAMAE, samples x components; where there are none, the standardised genes."""
        scaled = self.scaler.transform(expression)
        if not self.damaes:
            return [scaled]
        return [pd.DataFrame(damae.transform(scaled), index=expression.index) for damae in self.damaes]

    def save(self, folder: str | Path) -> Path:
        """Write `scaler.parquet` and, for each DAMAE, `damae_<number>` (.safetensors, .json) to a folder."""
        folder = Path(folder)
        self.scaler.save(folder / "scaler.parquet")
        for number, damae in enumerate(self.damaes):
            damae.save(folder / f"damae_{number}")
        return folder

    @classmethod
    def load(cls, folder: str | Path, n_damaes: int) -> Self:
        """Read what `save` wrote, or a run's pretraining; a missing or damaged file is an InputError."""
        scaler = ExpressionScaler.load(Path(folder) / "scaler.parquet")
        return cls(scaler, [DAMAE.load(Path(folder) / f"damae_{number}") for number in range(n_damaes)])


@dataclass(frozen=True)
class Embedding:
    """What the DAMAEs of a pool make of its samples.

    Parameters
    ----------
    codes : list of DataFrame, samples x components
        One a DAMAE.
    domain, tissue : Series
        Source and tissue of each sample; the latter is missing where it is not known.
    key : str
        Identifies the codes.
    """

    codes: list[pd.DataFrame]
    domain: pd.Series
    tissue: pd.Series
    key: str


def embed(profile: Profile | str, task: Task | str, device: str = "auto", force: bool = False) -> Embedding:
    """Return the representations of a task's pool: trained now, or loaded where they are done.

    All samples of the pool take part, labelled or not (transductive; paper, "Representation algorithm"), and all
    tasks of a pool share what comes of it. Weights, scaler, learning curves and codes are saved.
    """
    profile, task = get_profile(profile), get_task(task)
    seeds = [seed for seed in range(profile.n_representations) if force or not is_trained(profile, task, seed)]
    if seeds:
        train(profile, task, seeds, device)
    return saved_embedding(profile, task)


def is_trained(profile: Profile, task: Task, seed: int) -> bool:
    """Tell whether one DAMAE of a task's pool is trained, and all that came of it is whole."""
    if not all(is_done(path, configuration) for path, configuration in results(profile, task, seed)):
        return False
    try:
        DAMAE.load(folder_of(profile, task) / f"damae_{seed}")
    except InputError:  # absent, or damaged since
        return False
    return True


def results(profile: Profile, task: Task, seed: int) -> list[tuple[Path, dict[str, Any]]]:
    """Return the frames that training one DAMAE leaves, its own and those that all share, and their configurations."""
    folder, shared = folder_of(profile, task), _configuration(profile, task)
    own = [(folder / f"{what}_{seed}.parquet", shared | {"seed": seed}) for what in ("history", "embedding")]
    return own + [(folder / f"{what}.parquet", shared) for what in ("scaler", "samples")]


def train(profile: Profile, task: Task, seeds: Sequence[int], device: str = "auto") -> None:
    """Train DAMAEs of a task's pool, one a seed, and save all that comes of them, the codes last."""
    folder, pool, shared = folder_of(profile, task), pool_of(profile, task), _configuration(profile, task)
    fitted = Representations.fit(pool.expression, seeds, pool.n_genes, device, pool.domain, **dict(profile.damae))
    scaler = pd.DataFrame({"mean": fitted.scaler.mean_, "scale": fitted.scaler.scale_})
    save_frame(scaler, folder / "scaler.parquet", shared)
    save_frame(pd.DataFrame({"domain": pool.domain, "tissue": pool.tissue}), folder / "samples.parquet", shared)
    for seed, damae, code in zip(seeds, fitted.damaes, fitted.transform(pool.expression), strict=True):
        damae.save(folder / f"damae_{seed}")
        save_frame(damae.history_, folder / f"history_{seed}.parquet", shared | {"seed": seed})
        save_frame(code.rename(columns=str), folder / f"embedding_{seed}.parquet", shared | {"seed": seed})


def saved_embedding(profile: Profile, task: Task) -> Embedding:
    """Return the representations of a task's pool as they were saved; an InputError where they were not trained."""
    codes = _saved(profile, task, "embedding")
    described = load_frame(folder_of(profile, task) / "samples.parquet").reindex(codes[0].index)
    return Embedding(codes, described["domain"], described["tissue"], embedding_key(profile, task))


def representations(profile: Profile, task: Task, device: str = "auto") -> Representations:
    """Return the scaler and the DAMAEs of a task's pool: trained now, or loaded where they are done."""
    embed(profile, task, device)
    return Representations.load(folder_of(profile, task), profile.n_representations)


def _saved(profile: Profile, task: Task, what: str) -> list[pd.DataFrame]:
    """Return what was saved of each DAMAE of a pool; an InputError where they were not trained."""
    folder = folder_of(profile, task)
    paths = [folder / f"{what}_{seed}.parquet" for seed in range(profile.n_representations)]
    if not all(path.exists() for path in paths):
        raise InputError(f"task {task.id}: no DAMAEs in {folder}: run notebook 02 to train them")
    return [load_frame(path) for path in paths]


def _configuration(profile: Profile, task: Task) -> dict[str, Any]:
    """Return all that the codes of a pool depend on, but for the seed of each."""
    settings = DAMAE(**dict(profile.damae)).get_params()
    damae = {name: value for name, value in settings.items() if name not in ("random_state", "device")}
    code = code_version("leaplib.representation.pretraining")
    return {"pool": pool_key(profile, task), "n_genes": profile.n_genes, "code": code, "damae": damae}


def embedding_key(profile: Profile, task: Task) -> str:
    """Return the key of a task's representations, whether they are trained or not."""
    return key_of(_configuration(profile, task))


def folder_of(profile: Profile, task: Task) -> Path:
    """Return where the DAMAEs of a task's pool lie."""
    return Layout(profile.name).results / "representations" / pool_name(profile, task)


def standardised(profile: Profile, task: Task) -> pd.DataFrame:
    """Return the expression of a task's pool as its DAMAEs see it: genes chosen, each to mean 0 and SD 1."""
    pool = pool_of(profile, task)
    return ExpressionScaler(pool.n_genes).fit(pool.expression, sources=pool.domain).transform(pool.expression)


def standardised_key(profile: Profile, task: Task) -> str:
    """Return the key of all that `standardised` depends on."""
    return key_of({name: value for name, value in _configuration(profile, task).items() if name != "damae"})


def learning_curves(profile: Profile | str, task: Task | str) -> pd.DataFrame:
    """Return the losses of each DAMAE of a task's pool: representation, epoch, train_loss, validation_loss."""
    saved = _saved(get_profile(profile), get_task(task), "history")
    parts = [frame.assign(representation=seed) for seed, frame in enumerate(saved)]
    return pd.concat(parts, ignore_index=True)


def code_map(embedding: Embedding, number: int = 0) -> pd.DataFrame:
    """Return the first two principal components of one representation: x, y, group (tissue)."""
    codes = embedding.codes[number]
    points = PCA(2, random_state=0).fit_transform(codes.to_numpy(dtype=float))
    frame = pd.DataFrame(points, index=codes.index, columns=["x", "y"])
    return frame.assign(group=embedding.tissue.fillna("unknown"))


def _neighbours(codes: pd.DataFrame) -> np.ndarray:
    """Return the positions of each sample's five nearest neighbours, itself left out."""
    return NearestNeighbors(n_neighbors=5).fit(codes).kneighbors(return_distance=False)


def tissue_agreement(embedding: Embedding) -> pd.DataFrame:
    """Return how often a sample's nearest neighbours come from its own tissue (samples without one are left out).

    Returns
    -------
    DataFrame
        representation, same_tissue (share of neighbours), by_chance (that share for neighbours drawn at random).
    """
    known = embedding.tissue.dropna()
    labels, by_chance = known.to_numpy(), float(np.square(known.value_counts(normalize=True)).sum())
    rows = []
    for number, codes in enumerate(embedding.codes):
        same_tissue = (labels[_neighbours(codes.loc[known.index])] == labels[:, None]).mean()
        rows.append({"representation": number, "same_tissue": same_tissue, "by_chance": by_chance})
    return pd.DataFrame(rows)


def domain_mixing(profile: Profile | str, task: Task | str, device: str = "auto") -> pd.DataFrame:
    """Return how far xenografts lie among cell lines, under each way to bring the two together.

    Returns
    -------
    DataFrame
        harmonise, among_lines: of the nearest neighbours of a xenograft in the first representation, the share that are
        cell lines, by_chance: that share if domains did not matter.
    """
    rows = []
    for how in HARMONISE:
        embedding = embed(profile, harmonised(get_task(task), how), device)
        foreign = (embedding.domain != "cell lines").to_numpy()
        neighbours = _neighbours(embedding.codes[0])[foreign]
        by_chance = (~foreign).sum() / (len(foreign) - 1)
        rows.append({"harmonise": how, "among_lines": (~foreign[neighbours]).mean(), "by_chance": by_chance})
    return pd.DataFrame(rows)
