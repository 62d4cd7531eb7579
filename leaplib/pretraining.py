"""Pretraining: the DAMAEs of a pool of samples, trained once for all its tasks, saved and found again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from leaplib import __version__
from leaplib.damae import DAMAE
from leaplib.data import pool_key, pool_name, pool_of
from leaplib.errors import InputError
from leaplib.expression import ExpressionScaler
from leaplib.layout import Layout
from leaplib.leap import Representations
from leaplib.profiles import Profile
from leaplib.store import is_done, key_of, load_frame, save_frame
from leaplib.tasks import Task


@dataclass(frozen=True)
class Embedding:
    """Codes of all samples of a pool under each DAMAE, the source of each sample, and the key that identifies all."""

    codes: list[pd.DataFrame]
    domain: pd.Series
    key: str


def embed(profile: Profile, task: Task, device: str = "auto", force: bool = False) -> Embedding:
    """Return the representations of a task's pool: trained now, or loaded where they are done.

    All samples of the pool take part, labelled or not (transductive; paper, "Representation algorithm"), and all
    tasks of a pool share what comes of it. Weights, scaler, learning curves and codes are saved.
    """
    configuration = _configuration(profile, task)
    if force or not all(is_done(path, configuration) for path in _files(profile, task, "embedding")):
        _pretrain(profile, task, device, configuration)
    return saved_embedding(profile, task)


def saved_embedding(profile: Profile, task: Task) -> Embedding:
    """Return the representations of a task's pool as they were saved; an InputError where they were not trained."""
    codes = [load_frame(path) for path in _saved(profile, task, "embedding")]
    domain = load_frame(_folder(profile, task) / "domain.parquet")["domain"]
    return Embedding(codes, domain, key_of(_configuration(profile, task)))


def _configuration(profile: Profile, task: Task) -> dict[str, Any]:
    """Return all that the codes of a pool depend on."""
    settings = DAMAE(**dict(profile.damae)).get_params()
    return {"pool": pool_key(profile, task), "n_genes": profile.n_genes, "version": __version__,
            "damae": {k: v for k, v in settings.items() if k not in ("random_state", "device")},
            "seeds": list(range(profile.n_representations))}  # fmt: skip


def _files(profile: Profile, task: Task, what: str) -> list[Path]:
    """Return the files of each DAMAE of a pool."""
    return [_folder(profile, task) / f"{what}_{seed}.parquet" for seed in range(profile.n_representations)]


def _saved(profile: Profile, task: Task, what: str) -> list[Path]:
    """Return the files of each DAMAE of a pool; an InputError where they were not trained."""
    paths = _files(profile, task, what)
    if not all(path.exists() for path in paths):
        raise InputError(f"task {task.id}: no DAMAEs in {paths[0].parent}: run notebook 02 to train them")
    return paths


def embedding_key(profile: Profile, task: Task) -> str:
    """Return the key of a task's representations, whether they are trained or not."""
    return key_of(_configuration(profile, task))


def _folder(profile: Profile, task: Task) -> Path:
    return Layout(profile.name).results / "representations" / pool_name(profile, task)


def _pretrain(profile: Profile, task: Task, device: str, configuration: dict) -> None:
    """Train the DAMAEs of a pool and save all that came of it, the codes last."""
    folder, pool = _folder(profile, task), pool_of(profile, task)
    seeds = range(profile.n_representations)
    fitted = Representations.fit(pool.expression, seeds, pool.n_genes, device, pool.domain, **dict(profile.damae))
    scaler = pd.DataFrame({"mean": fitted.scaler.mean_, "scale": fitted.scaler.scale_})
    save_frame(scaler, folder / "scaler.parquet", configuration)
    save_frame(pool.domain.rename("domain").to_frame(), folder / "domain.parquet", configuration)
    for seed, damae in zip(seeds, fitted.damaes, strict=True):
        damae.save(folder / f"damae_{seed}")
        save_frame(damae.history_, folder / f"history_{seed}.parquet", configuration)
    for path, codes in zip(_files(profile, task, "embedding"), fitted.transform(pool.expression), strict=True):
        save_frame(codes.rename(columns=str), path, configuration)


def standardised(profile: Profile, task: Task, factor: int = 1) -> pd.DataFrame:
    """Return the expression of a task's pool as its DAMAEs see it: genes chosen, each to mean 0 and SD 1.

    `factor` times as many genes a source are chosen, or as many as there are.
    """
    pool = pool_of(profile, task)
    scaler = ExpressionScaler(factor * pool.n_genes).fit(pool.expression, sources=pool.domain)
    return scaler.transform(pool.expression)


def standardised_key(profile: Profile, task: Task) -> str:
    """Return the key of all that `standardised` depends on but for `factor`."""
    return key_of({"pool": pool_key(profile, task), "n_genes": profile.n_genes, "version": __version__})


def learning_curves(profile: Profile, task: Task) -> pd.DataFrame:
    """Return the losses of each DAMAE of a task's pool: representation, epoch, train_loss, validation_loss."""
    paths = _saved(profile, task, "history")
    return pd.concat([load_frame(path).assign(representation=seed) for seed, path in enumerate(paths)],
                     ignore_index=True)  # fmt: skip


def code_map(embedding: Embedding, tissue: pd.Series, number: int = 0) -> pd.DataFrame:
    """Return the first two principal components of one representation: x, y, group (tissue)."""
    codes = embedding.codes[number]
    points = PCA(2, random_state=0).fit_transform(codes.to_numpy(dtype=float))
    frame = pd.DataFrame(points, index=codes.index, columns=["x", "y"])
    return frame.assign(group=tissue.reindex(codes.index).fillna("unknown"))


def tissue_agreement(embedding: Embedding, tissue: pd.Series, n_neighbors: int = 5) -> pd.DataFrame:
    """Return how often a sample's nearest neighbours come from its own tissue.

    Parameters
    ----------
    embedding : Embedding
    tissue : Series
        Tissue by sample; samples without one are left out.
    n_neighbors : int

    Returns
    -------
    DataFrame
        representation, same_tissue (share of neighbours), by_chance (that share for neighbours drawn at random).
    """
    known = tissue.reindex(embedding.codes[0].index).dropna()
    labels = known.to_numpy()
    shares = known.value_counts(normalize=True)
    rows = []
    for number, codes in enumerate(embedding.codes):
        search = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(codes.loc[known.index])
        neighbours = search.kneighbors(return_distance=False, n_neighbors=n_neighbors)
        rows.append({"representation": number, "same_tissue": (labels[neighbours] == labels[:, None]).mean(),
                     "by_chance": float(np.square(shares).sum())})  # fmt: skip
    return pd.DataFrame(rows)
