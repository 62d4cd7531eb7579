import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import Cohort, check_expression


def test_counts_and_subset(cohort):
    assert cohort.n_pairs == 17
    part = cohort.subset(samples=cohort.samples.index[[3, 1]], perturbations=cohort.perturbations.index[[2]])
    assert list(part.expression.index) == ["line-3", "line-1"]
    assert part.response.columns.tolist() == ["drug-2"]
    assert part.hash != cohort.hash


@pytest.mark.parametrize(("name", "column", "value"), [("expression", "G1", 1e-9), ("response", "drug-1", 1e-9),
                                                       ("samples", "tissue", "s")])  # fmt: skip
def test_hash_sees_every_value(parts, name, column, value):
    first = Cohort(name="test", **parts)
    assert first.hash == Cohort(name="test", **parts).hash
    changed = parts[name].copy()
    changed.loc["line-2", column] += value
    assert Cohort(name="test", **parts | {name: changed}).hash != first.hash


def test_save_and_load(cohort, tmp_path):
    loaded = Cohort.load(cohort.save(tmp_path / "cohort"))
    assert loaded.hash == cohort.hash == loaded.subset().hash  # the second is computed anew
    pd.testing.assert_frame_equal(loaded.response, cohort.response)
    with pytest.raises(InputError, match="no cohort there: run notebook 01"):
        Cohort.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["expression"].__setitem__("G1", np.inf), r"gene 'G1' in sample 'line-0'"),
        (lambda p: p["expression"].__setitem__("G2", np.nan), r"missing or infinite expression of gene 'G2'"),
        (lambda p: p["expression"].__setitem__("G3", -1.0), r"negative expression of gene 'G3'"),
        (lambda p: p["response"].__setitem__("drug-1", np.inf), r"infinite response of sample 'line-0' to 'drug-1'"),
        (lambda p: p["response"].__setitem__("drug-9", 0.5), r"unknown perturbation 'drug-9'"),
        (lambda p: p["samples"].pop("tissue"), r"no column 'tissue'"),
        (lambda p: p.update(response=p["response"].iloc[::-1]), "another order"),
        (lambda p: p.update(perturbations=p["perturbations"].iloc[::-1]), "perturbation table must list"),
    ],
)
def test_bad_values_are_named(parts, change, message):
    change(parts)
    with pytest.raises(InputError, match=message):
        Cohort(name="test", **parts)


@pytest.mark.parametrize("name", ["expression", "response", "samples"])
def test_repeated_and_unknown_samples_are_named(parts, name):
    parts[name] = parts[name].rename(index={"line-4": "line-3"})
    with pytest.raises(InputError, match=r"line-[34]"):
        Cohort(name="test", **parts)


def test_negative_values_are_fine_in_z_scores_only(parts):
    shifted = parts["expression"] - 5
    check_expression(shifted, "z-score", "here")
    with pytest.raises(InputError, match="negative"):
        check_expression(shifted, "log2(TPM+1)", "here")
    with pytest.raises(InputError, match="unknown"):
        check_expression(shifted, "counts", "here")
    with pytest.raises(InputError, match="empty"):
        check_expression(shifted.iloc[:0], "z-score", "here")


def test_one_cell_line_under_two_names_is_refused(parts):
    """As two studies' records of it would be: it could end up on both sides of a split."""
    ids = [f"ID-{i}" for i in range(len(parts["samples"]) - 2)]
    parts["samples"]["depmap_id"] = [*ids, None, None]
    Cohort(name="missing ids are no repeats", **parts)
    parts["samples"]["depmap_id"] = [*ids, ids[1], None]
    with pytest.raises(InputError, match=r"samples 'line-1' and 'line-4' are one cell line \(.*ID-1\): give both"):
        Cohort(name="twice", **parts)
