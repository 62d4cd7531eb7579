"""From cell lines to xenografts: ways to bring two domains together, held side by side (challenge iii)."""

from collections.abc import Sequence

import pandas as pd
from sklearn.neighbors import NearestNeighbors

from leaplib.models.table import CONTROLS, MODELS, check_models
from leaplib.profiles import Profile, get_profile
from leaplib.representation.pretraining import Embedding, embed
from leaplib.results.scores import models_only, split_values
from leaplib.runs.experiment import run_task
from leaplib.tasks import COMPARED, HARMONISE, get_task, harmonised


def compare(profile: Profile | str, task_id: str, models: Sequence[str] = COMPARED,
            device: str = "auto", force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run models under each way to bring cell lines and xenografts together.

    Parameters
    ----------
    profile : Profile or str
    task_id : {"5a", "5b"}
    models : sequence of str
        Keys of `leaplib.models.table.MODELS`.
    device : {"auto", "cpu", "cuda"}
    force : bool
        Compute again what is done.

    Returns
    -------
    DataFrame
        harmonise, model, mean, sd (of the mean Spearman correlation over drugs, over subsets of the xenografts), data.
    """
    parts, wanted = [], [MODELS[key].name for key in check_models(models)]
    for how in HARMONISE:
        scores = run_task(profile, harmonised(get_task(task_id), how), models, device, force=force)
        values = split_values(scores, "per_perturbation", "spearman")
        values = models_only(values)
        parts.append(values[values["model"].isin([*wanted, *CONTROLS.values()])].assign(harmonise=how))
    values = pd.concat(parts, ignore_index=True)
    return values.groupby(["harmonise", "model", "data"], sort=False)["value"].agg(mean="mean", sd="std").reset_index()


def mixing(profile: Profile | str, task_id: str, device: str = "auto") -> pd.DataFrame:
    """Return how far xenografts lie among cell lines, under each way to bring the two together.

    Returns
    -------
    DataFrame
        harmonise, among_lines: of the five nearest neighbours of a xenograft, the share that are cell lines (first
        representation), by_chance: that share if domains did not matter.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    rows = []
    for how in HARMONISE:
        task = harmonised(get_task(task_id), how)
        among, chance = _share_of_lines(embed(profile, task, device))
        rows.append({"harmonise": how, "among_lines": among, "by_chance": chance})
    return pd.DataFrame(rows)


def _share_of_lines(embedding: Embedding, n_neighbors: int = 5) -> tuple[float, float]:
    """Return the share of lines among the neighbours of xenografts, and by chance."""
    codes, foreign = embedding.codes[0], (embedding.domain != "cell lines").to_numpy()
    search = NearestNeighbors(n_neighbors=n_neighbors).fit(codes)
    neighbours = search.kneighbors(return_distance=False)[foreign]
    return float((~foreign[neighbours]).mean()), float((~foreign).sum() / (len(foreign) - 1))
