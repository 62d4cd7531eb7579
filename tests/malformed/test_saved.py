"""Damaged results, cohorts, splits and models: each is refused in one clear line, or read as it was."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.store import is_done, load_frame, provenance, save_frame
from leaplib.cohorts import prepare as data
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.splits import load_splits, make_splits, save_splits
from leaplib.models.knn import PSKNN
from leaplib.models.lasso import PSLasso
from leaplib.models.networks import PPMlp, PPTdnn
from leaplib.models.ridge import DualRidge, SharedKernelRidge
from leaplib.models.tcrp import PSTcrp
from leaplib.models.trees import PPLgbm, PSForest, PSLgbm
from leaplib.profiles import get_profile
from leaplib.representation.damae import DAMAE
from leaplib.tasks import get_task

from ..conftest import frames
from .checks import refused
from .sound import damaged

FRAME = pd.DataFrame({"drug-0": [0.5, 0.25], "drug-1": [1.0, np.nan]}, index=["a", "b"])
MODELS = {
    "PS-KNN": lambda: PSKNN(),
    "PS-LASSO": lambda: PSLasso(3),
    "PS-RIDGE": lambda: DualRidge(3),
    "LEAP+": lambda: SharedKernelRidge(grid={"penalty": [3.0, 1.0]}),
    "PS-TCRP": lambda: PSTcrp(2, 2, grid={"meta_rate": [1e-2], "inner_rate": [1e-3]}, device="cpu"),
    "PP-tDNN": lambda: PPTdnn(max_epochs=2, grid={"dropout": [0]}, towers=[3], joint=[2], device="cpu"),
    "PP-MLP": lambda: PPMlp(max_epochs=2, grid={"learning_rate": [1e-2], "batch_size": [64]}, hidden=[2], device="cpu"),
    "PS-LGBM": lambda: PSLgbm(2, grid={"learning_rate": [0.1], "feature_fraction": [1.0]}, n_jobs=1),
    "PS-RF": lambda: PSForest(2),
    "PP-LGBM": lambda: PPLgbm(2, grid={"learning_rate": [0.1], "reg_alpha": [1.0]}, n_jobs=1),
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of everything that is saved."""
    folder = tmp_path_factory.mktemp("saved")
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    for name, make in MODELS.items():
        make().fit(X, Y, np.arange(40) % 5, np.arange(40) % 2, np.eye(2, 3)).save(folder / name)
    DAMAE(4, 2, max_epochs=2, device="cpu").fit(pd.DataFrame(X, columns=["A", "B", "C"])).save(folder / "damae")
    save_frame(FRAME, folder / "frame.parquet", {"seed": 1})
    cohort = Cohort("cohort", **frames(60))
    cohort.save(folder / "cohort")
    save_splits(make_splits(cohort, get_task("2a"), 2, 0), folder / "splits.parquet")
    return folder


def load(name: str, path: Path) -> object:
    """Read what `saved` made, and use it."""
    if name in MODELS:
        return type(MODELS[name]()).load(path).predict(np.ones((2, 3)))
    if name == "damae":
        return DAMAE.load(path).transform(np.ones((2, 3)))
    readers = {"frame.parquet": load_frame, "splits.parquet": load_splits, "cohort": Cohort.load}
    return readers[name](path)


THINGS = [*MODELS, "damae", "frame.parquet", "splits.parquet", "cohort"]
FILES = [*[(name, file) for name in MODELS for file in ("model.json", "model.safetensors")],
         ("damae", "damae.json"), ("damae", "damae.safetensors"), ("frame.parquet", ""), ("splits.parquet", ""),
         *[("cohort", f"{file}") for file in ("expression.parquet", "response.parquet", "samples.parquet",
                                              "perturbations.parquet")]]  # fmt: skip


def copied(saved: Path, folder: Path, name: str) -> tuple[Path, Callable[[str], Path]]:
    """Return a copy of a thing, and where its files lie."""
    if name == "damae":
        for suffix in (".json", ".safetensors"):
            shutil.copy(saved / f"damae{suffix}", folder)
        return folder / "damae", lambda file: folder / file
    path = folder / name
    (shutil.copytree if (saved / name).is_dir() else shutil.copy)(saved / name, path)
    return path, lambda file: path / file if file else path


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_file_that_is_absent_empty_cut_or_something_else(saved: Path, tmp_path: Path, name: str, file: str) -> None:
    path, at = copied(saved, tmp_path, name)
    sound = at(file).read_bytes()
    load(name, path)
    for content in (b"", sound[: len(sound) // 2], sound[:-3], b"\0" * len(sound), b"null", b"[]", b'"text"', b"{}",
                 b"\xff\xfe" + sound, b"[" * 100_000, b"PAR1" + sound[4:-4][::-1] + b"PAR1"):  # fmt: skip
        at(file).write_bytes(content)
        refused(lambda: load(name, path), tmp_path, str(tmp_path))
    at(file).unlink()
    refused(lambda: load(name, path), tmp_path, str(tmp_path))
    at(file).mkdir()
    refused(lambda: load(name, path), tmp_path, str(tmp_path))


@pytest.mark.parametrize(("name", "file"), FILES)
def test_damaged_bytes_give_no_other_error_and_no_nan(saved: Path, tmp_path: Path, name: str, file: str) -> None:
    path, at = copied(saved, tmp_path, name)
    sound = at(file).read_bytes()
    for seed in range(25):
        at(file).write_bytes(damaged(sound, seed))
        try:
            load(name, path)
        except InputError as error:
            assert str(tmp_path) in str(error) and str(error).isprintable(), str(error)


def json_of(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


MODEL_CHANGES: dict[str, Callable[[dict], object]] = {
    "no model": lambda m: m.pop("model"),
    "another model": lambda m: m.update(model="Oracle"),
    "no parameters": lambda m: m.pop("parameters"),
    "an unknown parameter": lambda m: m["parameters"].update(colour="red"),
    "another number of features": lambda m: m.update(n_features=7),
    "one perturbation too few": lambda m: m["perturbations"].pop(),
    "a perturbation twice": lambda m: m.update(perturbations=["a", "a"]),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("change", MODEL_CHANGES)
def test_a_model_whose_description_is_another(saved: Path, tmp_path: Path, name: str, change: str) -> None:
    path, at = copied(saved, tmp_path, name)
    json_of(at("model.json"), MODEL_CHANGES[change])
    refused(lambda: type(MODELS[name]()).load(path), tmp_path, str(path))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_the_arrays_of_another(saved: Path, tmp_path: Path, name: str) -> None:
    path, _at = copied(saved, tmp_path, name)
    others = [other for other in MODELS if other != name]
    for other in others:
        shutil.copy(saved / other / "model.safetensors", path)
        refused(lambda: type(MODELS[name]()).load(path), tmp_path, str(path))
    sound = load_file(saved / name / "model.safetensors")
    for key, array in sound.items():
        for other in (array[:-1], np.repeat(array, 2, axis=0), array[..., None]):
            if other.shape == array.shape:  # of an array without elements
                continue
            save_file({**sound, key: np.ascontiguousarray(other)}, path / "model.safetensors")
            refused(lambda: type(MODELS[name]()).load(path), tmp_path, str(path))
        save_file({k: a for k, a in sound.items() if k != key}, path / "model.safetensors")
        refused(lambda: type(MODELS[name]()).load(path), tmp_path, str(path))
        if array.dtype.kind == "f" and key not in ("cv_score", "Y"):
            save_file({**sound, key: np.full_like(array, np.nan)}, path / "model.safetensors")
            refused(lambda: type(MODELS[name]()).load(path), tmp_path, str(path))


DAMAE_CHANGES: dict[str, Callable[[dict], object]] = {
    "another format": lambda m: m.update(format="pickle"),
    "an unknown setting": lambda m: m["configuration"].update(colour="red"),
    "another size": lambda m: m["configuration"].update(n_hidden=9),
    "another checksum": lambda m: m.update(weights_sha256="0" * 64),
    "genes too few": lambda m: m.update(genes=["A"]),
    "a gene twice": lambda m: m.update(genes=["A", "A", "B"]),
    "text in the history": lambda m: m["history"].update(train_loss=["low", "lower"]),
    "no history": lambda m: m.pop("history"),
}


@pytest.mark.parametrize("change", DAMAE_CHANGES)
def test_a_damae_whose_description_is_another(saved: Path, tmp_path: Path, change: str) -> None:
    path, at = copied(saved, tmp_path, "damae")
    json_of(at("damae.json"), DAMAE_CHANGES[change])
    refused(lambda: DAMAE.load(path), tmp_path, str(path))


def test_a_cohort_with_a_frame_of_another(saved: Path, tmp_path: Path) -> None:
    path, at = copied(saved, tmp_path, "cohort")
    other = Cohort("another", **frames(60)).save(tmp_path / "another")
    for file in ("expression", "response", "samples", "perturbations"):
        sound = at(f"{file}.parquet").read_bytes()
        shutil.copy(other / f"{file}.parquet", path)
        refused(lambda: Cohort.load(path), tmp_path, str(path))
        save_frame(pd.read_parquet(at(f"{file}.parquet")), at(f"{file}.parquet"), {"seed": 1})
        refused(lambda: Cohort.load(path), tmp_path, str(path))
        at(f"{file}.parquet").write_bytes(sound)
    assert Cohort.load(path).name == "cohort"


def test_splits_that_are_something_else(saved: Path, tmp_path: Path) -> None:
    path, _ = copied(saved, tmp_path, "splits.parquet")
    pd.read_parquet(path).to_parquet(path)  # the same rows, but not as they were written
    refused(lambda: load_splits(path), tmp_path, str(path))
    save_frame(FRAME, path, {})
    refused(lambda: load_splits(path), tmp_path, str(path))


def test_a_damaged_file_of_a_prepared_cohort_is_made_anew(home: Path) -> None:
    profile, task = get_profile("smoke"), get_task("2a")
    folder = Layout("smoke").cohort("2a")
    before, flow = data.load_cohort(profile, task)
    outside = data.load_external(profile, task)["PRISM"]
    another = (folder / "samples.parquet").read_bytes()
    for file, content in (("response", b"\xff\xfe\0"), ("response", another), ("flow", b""), ("external", another)):
        (folder / f"{file}.parquet").write_bytes(content)
        pd.testing.assert_frame_equal(data.load_external(profile, task)["PRISM"], outside)
        cohort, counts = data.load_cohort(profile, task)
        assert cohort.hash == before.hash and counts.equals(flow)


@pytest.mark.parametrize("metadata", [b"", b"null", b"[]", b"{}", b'{"key": 1}', b"\xff\xfe", b"[" * 100_000])
def test_provenance_that_cannot_be_read_is_none(tmp_path: Path, metadata: bytes) -> None:
    path = tmp_path / "frame.parquet"
    table = pa.Table.from_pandas(FRAME)
    pq.write_table(table.replace_schema_metadata({b"leap": metadata}), path)
    assert provenance(path) is None
    assert not is_done(path, {"seed": 1})
