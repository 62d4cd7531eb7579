import os
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, settings

from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.simulation import simulate
from leaplib.profiles import get_profile

os.environ["LEAP_JOBS"] = "1"  # in this process, where tests can look into it, unless a test says otherwise
plt.switch_backend("Agg")
settings.register_profile("steady", deadline=None, derandomize=True, database=None,  # the same on any machine
                          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
settings.load_profile("steady")


def tiny(n_hidden=16, n_components=8, max_epochs=4, **sizes):
    """A profile whose runs take a few seconds."""
    damae = {"n_hidden": n_hidden, "n_components": n_components, "learning_rate": 1e-3, "batch_size": 64,
             "max_epochs": max_epochs}  # fmt: skip
    usual = {"n_splits": 2, "n_test_sets": 5, "max_perturbations": 4, "n_genes": 60, "n_representations": 2,
             "simulated_lines": 300, "simulated_genes": 120, "leaves_out": (), "damae": damae}  # fmt: skip
    return replace(get_profile("smoke"), **usual | sizes)


def pytest_xdist_auto_num_workers(config):  # tests wait for processes of their own a tenth of the time
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items):  # the longest file first: what starts last is waited for
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture(scope="session")
def simulation():
    """A cohort whose responses expression tells better than in life: a fault of a model shows in few lines."""
    return simulate(n_lines=320, n_genes=300, seed=1, hidden=0.6)


@pytest.fixture
def rng():
    """Random numbers that no other test has drawn from."""
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def one_thread():
    """Networks as small as those of tests are slower on several threads, far slower where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home: nothing is read from or written to the checkout's own data and figures."""
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))
    monkeypatch.delenv("LEAP_DATA", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """One home for the tests of a module that only look at results."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(folder))
        patch.delenv("LEAP_DATA", raising=False)
        yield folder


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test draws."""
    yield
    plt.close("all")


def frames(n_samples=6, n_genes=4, n_perturbations=3):
    rng = np.random.default_rng(0)
    samples = pd.Index([f"line-{i}" for i in range(n_samples)])
    perturbations = pd.Index([f"drug-{i}" for i in range(n_perturbations)])
    response = pd.DataFrame(rng.random((n_samples, n_perturbations)), index=samples, columns=perturbations)
    response.iloc[0, 0] = np.nan
    return {
        "expression": pd.DataFrame(rng.random((n_samples, n_genes)), samples, [f"G{i}" for i in range(n_genes)]),
        "response": response,
        "samples": pd.DataFrame({"tissue": "Lung", "study": "S", "disease_model": "cell line"}, index=samples),
        "perturbations": pd.DataFrame({"kind": "drug", "smiles": "CCO"}, index=perturbations),
    }


@pytest.fixture
def parts():
    return frames()


@pytest.fixture
def cohort(parts):
    return Cohort(name="test", **parts)
