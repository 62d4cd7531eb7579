"""Values that the paper reports, to be held beside ours (arXiv 2502.15646): of its tables, and of its sentences."""

import pandas as pd

METRICS = ("spearman", "pearson", "mse")
LEVELS = ("per_perturbation", "overall")

# Supplementary table 2: mean (SD) over splits of the per-perturbation Spearman correlation, task 1b. Its M-KNN and
# S-LGBM are PS-KNN and PP-LGBM; OmicsRPZ was run on other splits.
OMICSRPZ = "OmicsRPZ"
TASK_1B = {"OmicsRPZ (Identity)": (0.2369, 0.0058), "OmicsRPZ (PCA)": (0.2461, 0.0055),
           "OmicsRPZ (AE)": (0.2489, 0.0078), "OmicsRPZ (scVI)": (0.2452, 0.0139),
           "OmicsRPZ (MHAE)": (0.2489, 0.0032), "OmicsRPZ (MAE)": (0.2551, 0.0059),
           "OmicsRPZ (DA-GN)": (0.2559, 0.0059), "OmicsRPZ (GNN)": (0.2502, 0.0095),
           "PS-KNN": (0.2122, 0.0076), "PP-LGBM": (0.2566, 0.0061), "LEAP": (0.2975, 0.0054)}  # fmt: skip
# Supplementary table 3: mean (SD) over splits of Spearman, Pearson and MSE per perturbation, then overall. Some cells
# of the printed table lie outside their row in the extracted text; each has one place where it fits.
SCORES = {
    "1a": {
        "PP-LGBM": ((0.2844, 0.0177), (0.3005, 0.0188), (0.0657, 0.0008), (0.6508, 0.0061),
                    (0.6539, 0.0055), (0.0657, 0.0008)),
        "PP-tDNN": ((0.2860, 0.0158), (0.3002, 0.0173), (0.0668, 0.0007), (0.6497, 0.0063),
                    (0.6514, 0.0059), (0.0668, 0.0007)),
        "PP-MLP": ((0.3048, 0.0134), (0.3184, 0.0150), (2.2297, 0.8018), (0.6539, 0.0063),
                   (0.6553, 0.0061), (2.2297, 0.8018)),
        "PS-KNN": ((0.2278, 0.0096), (0.2416, 0.0099), (0.0745, 0.0010), (0.6048, 0.0050),
                   (0.6083, 0.0049), (0.0745, 0.0010)),
        "PS-LGBM": ((0.3028, 0.0144), (0.3177, 0.0151), (0.0653, 0.0007), (0.6539, 0.0047),
                    (0.6569, 0.0043), (0.0653, 0.0007)),
        "PS-LASSO": ((0.3208, 0.0134), (0.3335, 0.0139), (0.0654, 0.0008), (0.6560, 0.0057),
                     (0.6575, 0.0051), (0.0654, 0.0008)),
        "LEAP": ((0.3319, 0.0138), (0.3447, 0.0142), (0.0642, 0.0008), (0.6627, 0.0055),
                 (0.6647, 0.0049), (0.0642, 0.0008)),
    },
    "2a": {
        "PP-LGBM": ((0.3351, 0.0150), (0.3685, 0.0103), (0.0088, 0.0003), (0.7547, 0.0049),
                    (0.8089, 0.0036), (0.0099, 0.0003)),
        "PP-tDNN": ((0.3302, 0.0138), (0.3629, 0.0096), (0.0088, 0.0003), (0.7560, 0.0046),
                    (0.8132, 0.0037), (0.0098, 0.0003)),
        "PP-MLP": ((0.3409, 0.0148), (0.3695, 0.0114), (369595.4454, 338535.7906), (0.7567, 0.0050),
                   (0.8126, 0.0044), (397843.1691, 364238.4092)),
        "PS-KNN": ((0.2980, 0.0140), (0.3261, 0.0096), (0.0098, 0.0003), (0.7308, 0.0055),
                   (0.7886, 0.0050), (0.0110, 0.0004)),
        "PS-LGBM": ((0.3349, 0.0153), (0.3673, 0.0104), (0.0088, 0.0003), (0.7537, 0.0053),
                    (0.8082, 0.0039), (0.0099, 0.0003)),
        "PS-LASSO": ((0.3387, 0.0119), (0.3692, 0.0100), (0.0089, 0.0003), (0.7449, 0.0060),
                     (0.8082, 0.0042), (0.0100, 0.0003)),
        "LEAP": ((0.3504, 0.0119), (0.3809, 0.0101), (0.0087, 0.0003), (0.7520, 0.0056),
                 (0.8130, 0.0039), (0.0097, 0.0003)),
    },
    "3a": {
        "PP-LGBM": ((0.1905, 0.0532), (0.2022, 0.0558), (0.0676, 0.0046), (0.6392, 0.0199),
                    (0.6428, 0.0207), (0.0676, 0.0046)),
        "PP-tDNN": ((0.1851, 0.0498), (0.1936, 0.0548), (0.0701, 0.0070), (0.6310, 0.0336),
                    (0.6332, 0.0344), (0.0701, 0.0070)),
        "PP-MLP": ((0.2046, 0.0462), (0.2135, 0.0488), (2.5837, 0.8651), (0.6375, 0.0289),
                   (0.6394, 0.0298), (2.5837, 0.8651)),
        "PS-KNN": ((0.1142, 0.0430), (0.1199, 0.0449), (0.0784, 0.0047), (0.5811, 0.0184),
                   (0.5857, 0.0194), (0.0784, 0.0047)),
        "PS-LGBM": ((0.1916, 0.0509), (0.2026, 0.0536), (0.0679, 0.0050), (0.6372, 0.0220),
                    (0.6409, 0.0230), (0.0679, 0.0050)),
        "PS-LASSO": ((0.2192, 0.0476), (0.2289, 0.0494), (0.0698, 0.0095), (0.6341, 0.0335),
                     (0.6332, 0.0408), (0.0698, 0.0095)),
        "LEAP": ((0.2330, 0.0469), (0.2430, 0.0481), (0.0674, 0.0071), (0.6443, 0.0288),
                 (0.6458, 0.0318), (0.0674, 0.0071)),
    },
    "4a": {
        "PP-LGBM": ((0.1303, 0.0390), (0.1443, 0.0481), (0.0108, 0.0035), (0.7288, 0.0275),
                    (0.7711, 0.0154), (0.0118, 0.0038)),
        "PP-tDNN": ((0.1446, 0.0401), (0.1588, 0.0481), (0.0110, 0.0040), (0.7199, 0.0264),
                    (0.7667, 0.0218), (0.0120, 0.0044)),
        "PP-MLP": ((0.1474, 0.0411), (0.1605, 0.0496), (182.0222, 387.6747), (0.7233, 0.0300),
                   (0.7663, 0.0224), (192.2368, 415.4878)),
        "PS-KNN": ((0.0896, 0.0267), (0.0986, 0.0306), (0.0119, 0.0033), (0.6975, 0.0313),
                   (0.7436, 0.0224), (0.0131, 0.0036)),
        "PS-LGBM": ((0.1424, 0.0374), (0.1582, 0.0480), (0.0108, 0.0036), (0.7327, 0.0282),
                    (0.7747, 0.0174), (0.0118, 0.0038)),
        "PS-LASSO": ((0.1558, 0.0362), (0.1667, 0.0436), (0.0112, 0.0042), (0.7195, 0.0275),
                     (0.7640, 0.0231), (0.0123, 0.0046)),
        "LEAP": ((0.1695, 0.0390), (0.1794, 0.0467), (0.0107, 0.0035), (0.7276, 0.0271),
                 (0.7743, 0.0157), (0.0117, 0.0039)),
    },
}  # fmt: skip
# Supplementary table 7, LEAP on task 5b: Spearman and Pearson correlation of each drug, mean (SD) over subsets.
XENOGRAFTS = {
    "Cetuximab": ((0.2490, 0.0316), (0.3596, 0.0266)),
    "Erlotinib": ((0.5589, 0.0323), (0.6069, 0.0203)),
    "Tamoxifen": ((0.0368, 0.0793), (-0.0710, 0.0752)),
    "Trametinib": ((0.2705, 0.0633), (0.4393, 0.0758)),
    "Paclitaxel": ((-0.2757, 0.0158), (-0.3568, 0.0136)),
}
# Numbers that stand in sentences of the paper; relative gains as fractions.
STATED = {
    "gain over OmicsRPZ, 1b": 0.16,
    "gain over PP-LGBM, 1a": 0.17,
    "gain over PP-LGBM, 2a": 0.04,
    "gain over PP-LGBM, 3a": 0.23,
    "gain over PP-LGBM, 4a": 0.31,
    "gain of PS-LASSO": 0.14,
    "gain of 5 regressors": 0.01,
    "gain of 5 representations": 0.03,
    "gain of 25 regressors, at most": 0.01,
    "loss by pretraining on all lines, at most": 0.01,
    "gain by pretraining on all samples, at most": 0.0,
    "gain of grouped folds, 4a": 0.03,
    "gain of grouped folds, 3a, at most": 0.0,
    "gain of fine-tuning, at most": 0.0,
    "hours of LEAP, at most": 1.0,
    "hours of PP-LGBM": 35.0,
    "hours of five DAMAEs, at most": 1.0,
    "level of significance": 0.05,
    "reproducibility, lowest": 0.20,
    "reproducibility, highest": 0.25,
    "LEAP less reproducibility": 0.0,
    "overall score without expression, share": 1.0,
    "tasks that LEAP wins, share": 1.0,
    "lines without expression": 79,
    "outliers": 2,
    "tissues that LEAP does not win, 3a": 0,
    "tissues that LEAP does not win, 4a": 2,
    "tissues, 3a": 18,
    "tissues, 4a": 10,
}


def published_xenografts() -> pd.DataFrame:
    """Return supplementary table 7: task, model, drug, metric, published_mean, published_sd."""
    rows = [("5b", "LEAP", drug, metric, *values) for drug, both in XENOGRAFTS.items()
            for metric, values in zip(("spearman", "pearson"), both, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "model", "drug", "metric", "published_mean", "published_sd"])


# Supplementary tables 4, 5 and 6: mean (SD) over splits per perturbation, in the order of the variants of
# `leaplib.runs.variants`; Spearman, then Pearson and MSE where they are given.
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
    """Return published scores as a tidy frame: task, model, level, metric, mean, sd."""
    rows = [("1b", model, LEVELS[0], METRICS[0], *value) for model, value in TASK_1B.items()]
    columns = [(level, metric) for level in LEVELS for metric in METRICS]
    for task, models in SCORES.items():
        rows += [(task, model, *column, *value) for model, values in models.items()
                 for column, value in zip(columns, values, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "model", "level", "metric", "mean", "sd"])


def published_ablations() -> pd.DataFrame:
    """Return published ablations as a tidy frame: group, task, number, level, metric, mean, sd.

    `number` counts the variants of a group from 1 (the step of supplementary table 4). Only what the paper gives: for
    the steps and for 5 regressors on one representation Spearman's correlation alone.
    """
    rows = [(group, task, number, "per_perturbation", metric, *value)
            for (group, task), variants in ABLATIONS.items()
            for number, values in enumerate(variants, start=1)
            for metric, value in zip(METRICS, values, strict=False)]  # fmt: skip
    return pd.DataFrame(rows, columns=["group", "task", "number", "level", "metric", "mean", "sd"])
