import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.linear_model import LinearRegression

from leaplib.results.external import general_sensitivity, spearman_within, without
from leaplib.sources import wheels


@pytest.fixture
def response():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 12)) + rng.normal(size=(40, 1))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[0, 4:] = np.nan  # tested with four drugs
    return pd.DataFrame(values, [f"line {i}" for i in range(40)], [f"drug {i}" for i in range(12)])


def test_general_sensitivity_is_the_mean_over_the_other_drugs(response):
    found = general_sensitivity(response)
    standard = (response - response.mean()) / response.std(ddof=0)
    for line in response.index[1:]:
        for drug in response:
            assert found.loc[line, drug] == pytest.approx(standard.loc[line].drop(drug).mean())
    assert found.loc["line 0"].isna().all()
    changed = response.assign(**{"drug 3": response["drug 3"].to_numpy()[::-1]})  # a drug says nothing of itself
    pd.testing.assert_series_equal(general_sensitivity(changed)["drug 3"], found["drug 3"])


def test_what_is_regressed_out_is_a_drugs_own_line(response, rng):
    covariate = general_sensitivity(response).where(rng.random(response.shape) < 0.9)
    found = without(response, covariate)
    for drug in response:
        both = pd.concat([covariate[drug], response[drug]], axis=1).dropna().to_numpy()
        fit = LinearRegression().fit(both[:, :1], both[:, 1])
        left = found[drug].dropna()
        np.testing.assert_allclose(left, both[:, 1] - fit.predict(both[:, :1]), atol=1e-12)
    assert found["drug 0"].corr(covariate["drug 0"]) == pytest.approx(0, abs=1e-12)


def test_within_tissues_is_the_partial_correlation_of_ranks(response, rng):
    tissue = pd.Series(rng.choice(["A", "B", "C"], len(response)), response.index)
    prediction = (
        response.fillna(0) + rng.normal(size=response.shape) + tissue.map({"A": 0, "B": 3, "C": 6}).to_numpy()[:, None]
    )
    found = spearman_within(response, prediction, tissue)
    for drug, value in zip(response, found, strict=True):
        known = response[drug].notna()
        dummies = pd.get_dummies(tissue[known]).to_numpy(dtype=float)
        residuals = []
        for values in (response.loc[known, drug], prediction.loc[known, drug]):
            ranks = rankdata(values)
            residuals.append(ranks - LinearRegression(fit_intercept=False).fit(dummies, ranks).predict(dummies))
        assert value == pytest.approx(np.corrcoef(*residuals)[0, 1])
    means = pd.DataFrame(np.repeat(tissue.map({"A": 0.1, "B": 0.3, "C": 0.2}).to_numpy()[:, None], 12, axis=1),
                         response.index, response.columns)  # fmt: skip
    assert (spearman_within(response, means, tissue) == 0).all()
    one = pd.Series("A", tissue.index)
    expected = [spearmanr(response[d], prediction[d], nan_policy="omit")[0] for d in response]
    np.testing.assert_allclose(spearman_within(response, prediction, one), expected)


def test_growth_rates_are_means_of_repeats(monkeypatch):
    content = b"COSMIC_ID,model_id,GROWTH_RATE\n1,SIDM1,1.0\n1,SIDM1,2.0\n2,SIDM2,0.5\n"
    place = wheels.Place("cy.whl", "cy")
    monkeypatch.setattr(wheels, "read_member", lambda wheel, member: (content, place.within(member)))
    assert wheels.read_growth_rates().to_dict() == {"SIDM1": 1.5, "SIDM2": 0.5}
