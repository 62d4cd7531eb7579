import os

import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.base.files import atomic_path, sha256, write_text
from leaplib.base.store import is_done, key_of, load_frame, provenance, save_frame

FRAME = pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"])


def test_a_frame_comes_back_with_its_provenance(tmp_path):
    path = save_frame(FRAME, tmp_path / "deep" / "frame.parquet", {"seed": 1})
    pd.testing.assert_frame_equal(load_frame(path), FRAME)
    recorded = provenance(path)
    assert recorded["configuration"] == {"seed": 1}
    assert {"python", "torch", "leaplib"} <= set(recorded["versions"])


def test_only_the_same_configuration_is_done(tmp_path):
    path = save_frame(FRAME, tmp_path / "frame.parquet", {"seed": 1, "nested": {"a": [1, 2]}})
    assert is_done(path, {"nested": {"a": [1, 2]}, "seed": 1})
    assert not is_done(path, {"nested": {"a": [1, 3]}, "seed": 1})
    assert not is_done(tmp_path / "other.parquet", {"seed": 1})
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


@pytest.mark.parametrize("damage", [lambda b: b[:50], lambda b: b"", lambda b: b[:-20] + b"x" * 20])
def test_a_damaged_file_is_not_done_and_says_so_when_read(tmp_path, damage):
    path = save_frame(FRAME, tmp_path / "frame.parquet", {})
    path.write_bytes(damage(path.read_bytes()))
    assert not is_done(path, {})
    with pytest.raises(InputError, match="makes it anew"):
        load_frame(path)


def test_a_foreign_parquet_is_not_done(tmp_path):
    FRAME.to_parquet(tmp_path / "foreign.parquet")
    assert provenance(tmp_path / "foreign.parquet") is None


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_sha256(tmp_path):
    write_text(tmp_path / "a", "abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
