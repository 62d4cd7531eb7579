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
    save_splits,
    thinned,
    tissue_folds,
    tuning_folds,
    unseen_tissues,
)
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
