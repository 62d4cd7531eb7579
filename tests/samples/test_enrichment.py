import numpy as np
import pandas as pd
import pytest

from leaplib import InputError
from leaplib.samples.enrichment import enrich


@pytest.fixture
def ranking():
    rng = np.random.default_rng(0)
    return pd.Series(rng.normal(size=300), [f"G{i}" for i in range(300)]).sort_values(ascending=False)


def score_by_hand(ranking, genes):
    """Weighted running sum of Subramanian et al. 2005, p = 1."""
    ordered = ranking.sort_values(ascending=False)
    hit = ordered.index.isin(genes)
    steps = np.where(hit, ordered.abs() / ordered.abs()[hit].sum(), -1 / (~hit).sum())
    walk = np.cumsum(steps)
    return walk[np.argmax(np.abs(walk))]


def test_a_planted_set_leads_and_scores_are_those_by_hand(ranking):
    rng = np.random.default_rng(1)
    sets = {f"random {i}": list(rng.choice(ranking.index, 20, replace=False)) for i in range(8)}
    sets |= {"top": [*ranking.index[:30:2], "not ranked"], "bottom": list(ranking.index[-24:])}
    found = enrich(ranking.sample(frac=1, random_state=0), sets, n_permutations=200)
    assert set(found["gene_set"].head(2)) == {"top", "bottom"}
    by_name = found.set_index("gene_set")
    assert by_name.loc["top", "nes"] > 1.5 and by_name.loc["bottom", "nes"] < -1.5
    assert by_name.loc["top", "genes"] == 15 and by_name.loc["top", "p"] == 1 / 200
    for name, genes in sets.items():
        assert by_name.loc[name, "es"] == pytest.approx(score_by_hand(ranking, genes), abs=1e-6)
    assert set(by_name.loc["bottom", "leading"].split(";")) <= set(sets["bottom"])
    pd.testing.assert_frame_equal(found, enrich(ranking, sets, n_permutations=200))


def test_sets_out_of_range_are_left_out_and_none_is_an_error(ranking):
    sets = {"small": list(ranking.index[:9]), "right": list(ranking.index[:12]), "large": list(ranking.index[:60])}
    assert enrich(ranking, sets, max_size=50, n_permutations=20)["gene_set"].tolist() == ["right"]
    with pytest.raises(InputError, match="no gene set has 10 to 500"):
        enrich(ranking, {"small": sets["small"]})
    for bad in (ranking * 0, ranking.mask(ranking > 2), pd.concat([ranking, ranking])):
        with pytest.raises(InputError, match="one finite weight a gene"):
            enrich(bad, sets)
