import os

import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.base.store import (
    atomic_folder,
    atomic_path,
    is_done,
    key_of,
    load_frame,
    provenance,
    save_frame,
    sha256,
    write_text,
)

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


def test_any_wrong_byte_is_found_and_so_is_what_was_cut(tmp_path):
    path = save_frame(FRAME, tmp_path / "frame.parquet", {})
    sound = path.read_bytes()
    flips = [sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :] for at in range(0, len(sound), 37)]
    for content in (*flips, sound[:50], b"", sound[:-20] + b"x" * 20):
        path.write_bytes(content)
        assert not is_done(path, {})
        with pytest.raises(InputError, match="makes it anew"):
            load_frame(path)


def test_a_foreign_parquet_and_a_copy_of_another_result_are_not_done(tmp_path):
    FRAME.to_parquet(tmp_path / "foreign.parquet")
    assert provenance(tmp_path / "foreign.parquet") is None
    save_frame(FRAME, tmp_path / "one.parquet", {}).rename(tmp_path / "other.parquet")
    assert not is_done(tmp_path / "other.parquet", {})


@pytest.mark.parametrize("folder", [False, True])
def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path, folder):
    old = write_text(tmp_path / "there" / "a.txt", "old")

    def fail():
        with atomic_folder(old.parent) if folder else atomic_path(old) as temporary:
            (temporary / "a.txt" if folder else temporary).write_text("half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert old.read_text() == "old" and sha256(old) == sha256(write_text(tmp_path / "b", "old"))
    assert sorted(os.listdir(tmp_path)) == ["b", "there"] and os.listdir(old.parent) == ["a.txt"]
