"""Values that the paper reports (arXiv 2502.15646v1), to be held beside ours; `published.csv` holds them."""

from importlib.resources import files

import pandas as pd

RENAMED = {"mean": "published_mean", "sd": "published_sd"}


def published(table: str) -> pd.DataFrame:
    """Return published means and SDs over splits.

    Parameters
    ----------
    table : {"suppl. 2", "suppl. 3", "suppl. 4", "suppl. 5", "suppl. 6", "suppl. 7"}
        The paper's; or the start of a name. M-KNN and S-LGBM of table 2 are PS-KNN and PP-LGBM. Some cells of table 3
        lie outside their row in the paper's text; each has one place where it fits. `number` counts the variants of a
        group from 1.
    """
    with files("leaplib.results").joinpath("published.csv").open(encoding="utf-8") as file:
        everything = pd.read_csv(file, keep_default_na=False, na_values={"number": "", "mean": "", "sd": ""})
    return everything[everything["table"].str.startswith(table)].reset_index(drop=True)


def published_scores() -> pd.DataFrame:
    """Return the published scores of models (tables 2 and 3): task, model, level, metric, mean, sd."""
    found = pd.concat([published("suppl. 2"), published("suppl. 3")], ignore_index=True)
    return found[["task", "model", "level", "metric", "mean", "sd"]]
