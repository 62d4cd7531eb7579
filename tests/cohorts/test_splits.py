import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.splits import (
    Split,
    holdouts,
    largest_tissues,
    load_splits,
    random_folds,
    read_splits,
    save_splits,
    thinned,
    tissue_folds,
    tuning_folds,
    unseen_tissues,
)
from leaplib.tasks import get_task
from tests.conftest import frames


@pytest.fixture(scope="module")
def large():
    parts = frames(n_samples=200)
    parts["samples"]["tissue"] = np.random.default_rng(1).choice(list("ABCDEFGH"), 200)
    return Cohort(name="large", **parts)


def test_holdouts_are_of_all_samples_and_do_not_depend_on_how_many_are_asked_for(large):
    splits = holdouts(large.expression.index, 10)
    assert len({tuple(split.test) for split in splits}) == 10
    for split in splits:
        assert len(split.test) == 40 and set(split.train) | set(split.test) == set(large.samples.index)
        assert sorted(split.folds.value_counts()) == [32] * 5
    for one, other in zip(holdouts(large.expression.index, 2), splits, strict=False):
        assert one.test.equals(other.test) and one.folds.equals(other.folds)


def test_unseen_tissues_hide_a_tissue_and_group_the_folds(large):
    tissue = large.samples["tissue"]
    splits = unseen_tissues(large, largest_tissues(large.samples, 3), n_test_sets=50)
    for split in splits:
        assert set(tissue[split.test]) == {split.name}
        assert split.name not in set(tissue[split.train])
        assert (split.folds.groupby(tissue[split.train]).nunique() == 1).all()
        assert split.folds.nunique() == 5
        assert [len(held) for held in split.left_out] == [10] * 50
        assert len({tuple(held) for held in split.left_out}) > 45
        assert all(len(samples) == len(split.test) - 10 for samples in split.test_sets())
        assert not set(split.test_sets()[0]) & set(split.left_out[0])
    again = unseen_tissues(large, largest_tissues(large.samples, 3), n_test_sets=50)
    assert [[list(held) for held in split.left_out] for split in again] == [
        [list(held) for held in split.left_out] for split in splits]  # fmt: skip


def test_largest_tissues_break_ties_by_name():
    samples = pd.DataFrame({"tissue": list("BBAACCCD")})
    assert largest_tissues(samples, 3) == ["C", "A", "B"]


def test_a_leak_is_refused(large):
    split = holdouts(large.expression.index, 1)[0]
    with pytest.raises(InputError, match=str(split.test[0])):
        Split("leak", split.train.append(split.test[:1]), split.test, split.folds)
    with pytest.raises(InputError, match="folds"):
        Split("folds", split.train, split.test, split.folds.iloc[1:])
    with pytest.raises(InputError, match="leaves out"):
        Split("held", split.train, split.test, split.folds, (split.train[:10],))


def test_shares_of_a_training_set_lie_within_each_other_and_leave_something_to_learn_of_all(large):
    split = holdouts(large.expression.index, 2)[1]
    response = pd.DataFrame(1.0, large.samples.index, ["common", "rare"])
    rare = split.train[:8]
    response.loc[response.index.difference(rare), "rare"] = np.nan
    parts = {share: thinned(split, share, response) for share in (0.1, 0.4, 0.8, 1.0)}
    assert parts[1.0] is split and parts[0.4].name == "holdout-1, inner share 0.4"
    for small, large_ in ((0.1, 0.4), (0.4, 0.8), (0.8, 1.0)):
        assert set(parts[small].train) < set(parts[large_].train)
    for share, part in parts.items():
        assert part.test.equals(split.test) and part.train.isin(split.train).all()
        assert round(160 * share) <= len(part.train) <= round(160 * share) + 5
        assert set(part.folds) == set(range(5)) and response.loc[part.train].notna().sum().min() >= 5
    assert not (parts[0.4].train == split.train[: len(parts[0.4].train)]).all()  # at random
    tissue = large.samples["tissue"]
    grouped = thinned(unseen_tissues(large, ["A"], 1)[0], 0.5, response, tissue)
    assert (grouped.folds.groupby(tissue[grouped.train]).nunique() == 1).all()
    for share in (0, 1.1):
        with pytest.raises(InputError, match="a share of"):
            thinned(split, share, response)


def test_saved_splits_come_back(large, tmp_path):
    splits = holdouts(large.expression.index, 2) + unseen_tissues(large, ["A", "B"], n_test_sets=12)
    loaded = load_splits(save_splits(splits, tmp_path / "splits.parquet"))
    for one, other in zip(splits, loaded, strict=True):
        assert (one.name, *map(list, one.left_out)) == (other.name, *map(list, other.left_out))
        assert one.folds.to_dict() == other.folds.to_dict() and one.test.tolist() == other.test.tolist()


def test_folds_need_samples_and_groups():
    with pytest.raises(InputError, match="at least 5"):
        random_folds(4, 0)
    ids = pd.Index(list("abcdef"))
    with pytest.raises(InputError, match="'f' has no group"):
        tuning_folds(ids, 0, pd.Series(1, index=ids[:5]))
    with pytest.raises(InputError, match="at least 2 groups"):
        tuning_folds(ids, 0, pd.Series(1, index=ids))
    assert tuning_folds(ids, 0, pd.Series(list("112233"), index=ids)).nunique() == 3
    with pytest.raises(InputError, match="more than 10"):
        unseen_tissues(Cohort(name="small", **frames()), ["Lung"], 1)


def test_tissue_folds_hold_out_one_tissue_each(large):
    tissue = pd.Series(list("LLSSBx"), index=list("abcdef"))
    folds = tissue_folds(pd.Index(list("ecdab")), tissue)  # f is not asked for
    assert folds.to_dict() == {"e": 0, "c": 2, "d": 2, "a": 1, "b": 1}  # in the order of the names B, L, S
    assert folds.index.tolist() == list("ecdab") and folds.dtype.kind == "i"
    split = unseen_tissues(large, ["A"], 1)[0]
    folds = tissue_folds(split.train, large.samples["tissue"])
    assert sorted(folds.unique()) == list(range(7))
    again = Split(split.name, split.train, split.test, folds, split.left_out)
    assert again.folds.groupby(large.samples["tissue"][split.train]).nunique().eq(1).all()
    with pytest.raises(InputError, match="'z' has no group"):
        tissue_folds(pd.Index(["a", "z"]), tissue)
    with pytest.raises(InputError, match="at least 2 groups"):
        tissue_folds(pd.Index(["a", "b"]), tissue)


def written(path, rows):
    pd.DataFrame(rows, columns=["split", "sample", "part"]).to_csv(path, index=False)
    return path


def rows_of(split, train, test):
    return [(split, sample, "train") for sample in train] + [(split, sample, "test") for sample in test]


def test_own_splits_are_those_of_the_file_in_the_cohorts_order(large, tmp_path):
    samples = list(large.samples.index)
    rows = rows_of("b", samples[100:150], samples[:100]) + rows_of("a", samples[:100:-1], samples[:20])
    path = written(tmp_path / "bench.csv", rows)
    second, first = read_splits(path, large, get_task("2a"), 3)
    assert second.name.startswith("own bench ") and second.name.endswith(", inner b") and first.name.endswith(" a")
    assert list(second.train) == samples[100:150] and list(second.test) == samples[:100]
    assert list(first.train) == samples[101:] and not first.left_out
    assert second.folds.equals(tuning_folds(second.train, 0))
    again = read_splits(written(tmp_path / "bench.csv", rows[:-1]), large, get_task("2a"), 3)
    assert again[0].name != second.name  # another content has results of its own
    tissue = large.samples["tissue"]
    rows = rows_of("A", tissue.index[tissue != "A"], tissue.index[tissue == "A"])
    (unseen,) = read_splits(written(path, rows), large, get_task("4a"), 3)
    assert [len(held) for held in unseen.left_out] == [10] * 3
    assert (unseen.folds.groupby(tissue[unseen.train]).nunique() == 1).all()
    with pytest.warns(RuntimeWarning, match=r"bench.csv: 1 samples .* 'elsewhere'"):
        (known,) = read_splits(written(path, [*rows, ("A", "elsewhere", "test")]), large, get_task("4a"), 3)
    assert known.test.equals(unseen.test)


@pytest.mark.parametrize(("fault", "task", "said"), [
    ("both", "2a", "split 'x': sample '{0}' is in training and test set"),
    ("tissue", "4a", "split 'x': sample '{0}' is a test sample of tissue '{1}'"),
    ("part", "2a", "split 'x', sample '{0}': part 'valid' is neither"), ("few", "2a", "3 training and 1 test"),
    ("xenografts", "5a", "tests on xenografts"), ("columns", "2a", "split, sample, part"), ("empty", "2a", "as CSV"),
    ("absent", "2a", "as CSV"), ("names", "2a", "'x' and 'X' differ in case"),
    ("small", "4a", "more than 10"), ("one", "4a", "split 'x': grouped folds need at least 2 groups")])  # fmt: skip
def test_a_leak_or_fault_of_own_splits_is_named(large, tmp_path, fault, task, said):
    samples, tissue, path = large.samples.index, large.samples["tissue"], tmp_path / "bench.csv"
    inside = tissue.index[tissue == "A"]
    sound = rows_of("x", tissue.index[tissue != "A"], inside)
    first, divided = sound[0][1], samples[100:][tissue[samples[100:]].isin(tissue[samples[:100]])][0]
    rows = {"both": [*sound, ("x", first, "test")], "tissue": rows_of("x", samples[:100], samples[100:]),
            "part": [*sound, ("x", inside[0], "valid")], "few": rows_of("x", samples[:3], samples[3:4]),
            "names": sound + rows_of("X", samples[:50], samples[50:]),
            "one": rows_of("x", tissue.index[tissue == "B"], inside),
            "small": rows_of("x", tissue.index[tissue != "A"], inside[:9])}.get(fault, sound)  # fmt: skip
    written(path, rows)
    if fault == "columns":
        path.write_text("split,line,part\nx,a,train\n")
    if fault == "empty":
        path.write_text("")
    if fault == "absent":
        path.unlink()
    named = {"both": first, "tissue": divided, "part": inside[0]}.get(fault, "")
    with pytest.raises(InputError) as caught:
        read_splits(path, large, get_task(task), 3)
    text = said.format(named, tissue.get(named, ""))
    assert text in str(caught.value) and "bench.csv" in str(caught.value)
