import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def ax():
    return plt.figure(figsize=(3.5, 3)).add_subplot()


@pytest.fixture
def values():
    """Three models and a control on four splits."""
    rng = np.random.default_rng(0)
    means = {"Tissue mean": 0.05, "PS-KNN": 0.22, "PS-LASSO": 0.32, "LEAP": 0.33}
    return pd.DataFrame(
        [(model, f"holdout-{i}", mean + rng.normal(0, 0.01)) for model, mean in means.items() for i in range(4)],
        columns=["model", "split", "value"],
    )


@pytest.fixture
def flow():
    """Two studies of different length, united."""
    rows = [
        ("GDSC v2", "records", 100, 30, 2900),
        ("GDSC v2", "with expression", 90, 30, 2600),
        ("GDSC v2", "median of repeats", 90, 30, 2500),
        ("GDSC v1", "records", 120, 40, 4600),
        ("GDSC v1", "with expression", 110, 39, 4100),
        ("all", "studies united, first study wins", 115, 50, 6000),
        ("all", "drugs in at least 75 lines", 114, 20, 2200),
    ]
    return pd.DataFrame(rows, columns=["branch", "step", "samples", "perturbations", "pairs"])
