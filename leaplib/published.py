"""Values that the paper reports, to be held beside ours (arXiv 2502.15646, supplementary tables)."""

import pandas as pd

# Supplementary tables 2 and 3: mean (SD) over splits of the per-perturbation Spearman correlation.
SPEARMAN = {
    # Supplementary table 2: its M-KNN and S-LGBM are PS-KNN and PP-LGBM; OmicsRPZ was run on other splits.
    "1b": {"OmicsRPZ (Identity)": (0.2369, 0.0058), "OmicsRPZ (PCA)": (0.2461, 0.0055),
           "OmicsRPZ (AE)": (0.2489, 0.0078), "OmicsRPZ (scVI)": (0.2452, 0.0139),
           "OmicsRPZ (MHAE)": (0.2489, 0.0032), "OmicsRPZ (MAE)": (0.2551, 0.0059),
           "OmicsRPZ (DA-GN)": (0.2559, 0.0059), "OmicsRPZ (GNN)": (0.2502, 0.0095),
           "PS-KNN": (0.2122, 0.0076), "PP-LGBM": (0.2566, 0.0061), "LEAP": (0.2975, 0.0054)},
    "1a": {"PP-LGBM": (0.2844, 0.0177), "PP-tDNN": (0.2860, 0.0158), "PP-MLP": (0.3048, 0.0134),
           "PS-KNN": (0.2278, 0.0096), "PS-LGBM": (0.3028, 0.0144), "PS-LASSO": (0.3208, 0.0134),
           "LEAP": (0.3319, 0.0138)},
    "2a": {"PP-LGBM": (0.3351, 0.0150), "PP-tDNN": (0.3302, 0.0138), "PP-MLP": (0.3409, 0.0148),
           "PS-KNN": (0.2980, 0.0140), "PS-LGBM": (0.3349, 0.0153), "PS-LASSO": (0.3387, 0.0119),
           "LEAP": (0.3504, 0.0119)},
    "3a": {"PP-LGBM": (0.1905, 0.0532), "PP-tDNN": (0.1851, 0.0498), "PP-MLP": (0.2046, 0.0462),
           "PS-KNN": (0.1142, 0.0430), "PS-LGBM": (0.1916, 0.0509), "PS-LASSO": (0.2192, 0.0476),
           "LEAP": (0.2330, 0.0469)},
    "4a": {"PP-LGBM": (0.1303, 0.0390), "PP-tDNN": (0.1446, 0.0401), "PP-MLP": (0.1474, 0.0411),
           "PS-KNN": (0.0896, 0.0267), "PS-LGBM": (0.1424, 0.0374), "PS-LASSO": (0.1558, 0.0362),
           "LEAP": (0.1695, 0.0390)},
}  # fmt: skip
# Supplementary table 3: mean per-perturbation Pearson correlation, in the order of MODELS.
MODELS = ("PP-LGBM", "PP-tDNN", "PP-MLP", "PS-KNN", "PS-LGBM", "PS-LASSO", "LEAP")
PEARSON = {
    "1a": (0.3005, 0.3002, 0.3184, 0.2416, 0.3177, 0.3335, 0.3447),
    "2a": (0.3685, 0.3629, 0.3695, 0.3261, 0.3673, 0.3692, 0.3809),
    "3a": (0.2022, 0.1936, 0.2135, 0.1199, 0.2026, 0.2289, 0.2430),
    "4a": (0.1443, 0.1588, 0.1605, 0.0986, 0.1582, 0.1667, 0.1794),
}
# Supplementary table 3, overall Spearman correlation of LEAP.
OVERALL = {"1a": 0.6627, "2a": 0.7520, "3a": 0.6443, "4a": 0.7276}
# Supplementary table 7, LEAP on task 5b: Spearman and Pearson correlation of each drug, mean (SD) over subsets.
XENOGRAFTS = {
    "Cetuximab": ((0.2490, 0.0316), (0.3596, 0.0266)),
    "Erlotinib": ((0.5589, 0.0323), (0.6069, 0.0203)),
    "Tamoxifen": ((0.0368, 0.0793), (-0.0710, 0.0752)),
    "Trametinib": ((0.2705, 0.0633), (0.4393, 0.0758)),
    "Paclitaxel": ((-0.2757, 0.0158), (-0.3568, 0.0136)),
}


def published_xenografts() -> pd.DataFrame:
    """Return supplementary table 7: task, model, drug, metric, published_mean, published_sd."""
    rows = [("5b", "LEAP", drug, metric, *values) for drug, both in XENOGRAFTS.items()
            for metric, values in zip(("spearman", "pearson"), both, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "model", "drug", "metric", "published_mean", "published_sd"])


# Supplementary tables 4, 5 and 6: mean (SD) over splits per perturbation, in the order of the variants of
# `leaplib.variants`; Spearman, then Pearson and MSE where they are given.
STEPS = ((0.2821, 0.0138), (0.3224, 0.0126), (0.3220, 0.0133), (0.3213, 0.0137), (0.3193, 0.0133), (0.3178, 0.0133),
         (0.3177, 0.0134), (0.3208, 0.0134), (0.3319, 0.0138))  # fmt: skip
ABLATIONS = {
    ("steps", "1a"): tuple((step,) for step in STEPS),
    ("ensembles", "1a"): (((0.3208, 0.0134),),
                          ((0.3221, 0.0136), (0.3350, 0.0141), (0.0652, 0.0008)),
                          ((0.3319, 0.0138), (0.3447, 0.0142), (0.0642, 0.0008))),
    ("tuning", "3a"): (((0.2333, 0.0475), (0.2433, 0.0490), (0.0678, 0.0073)),
                       ((0.2330, 0.0469), (0.2430, 0.0481), (0.0674, 0.0071)),
                       ((0.2314, 0.0476), (0.2412, 0.0494), (0.0688, 0.0088))),
    ("tuning", "4a"): (((0.1645, 0.0422), (0.1749, 0.0496), (0.0118, 0.0053)),
                       ((0.1695, 0.0390), (0.1794, 0.0467), (0.0107, 0.0035)),
                       ((0.1627, 0.0402), (0.1719, 0.0468), (0.0112, 0.0042))),
}  # fmt: skip


def published_scores() -> pd.DataFrame:
    """Return published scores as a tidy frame: task, model, level, metric, mean, sd (NaN where not given)."""
    rows: list[tuple[str, str, str, str, float, float | None]] = []
    for task, models in SPEARMAN.items():
        rows += [(task, model, "per_perturbation", "spearman", mean, sd) for model, (mean, sd) in models.items()]
    for task, means in PEARSON.items():
        rows += [(task, model, "per_perturbation", "pearson", mean, None)
                 for model, mean in zip(MODELS, means, strict=True)]  # fmt: skip
    rows += [(task, "LEAP", "overall", "spearman", mean, None) for task, mean in OVERALL.items()]
    frame = pd.DataFrame(rows, columns=["task", "model", "level", "metric", "mean", "sd"])
    return frame.astype({"mean": float, "sd": float})


def published_ablations() -> pd.DataFrame:
    """Return published ablations as a tidy frame: group, task, number, level, metric, mean, sd.

    `number` counts the variants of a group from 1 (the step of supplementary table 4). Only what the paper gives: for
    the steps and for 5 regressors on one representation Spearman's correlation alone.
    """
    metrics = ("spearman", "pearson", "mse")
    rows = [(group, task, number, "per_perturbation", metric, *value)
            for (group, task), variants in ABLATIONS.items()
            for number, values in enumerate(variants, start=1)
            for metric, value in zip(metrics, values, strict=False)]  # fmt: skip
    return pd.DataFrame(rows, columns=["group", "task", "number", "level", "metric", "mean", "sd"])
