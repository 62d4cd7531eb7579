import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from leaplib.base.errors import InputError
from leaplib.cohorts.expression import ExpressionScaler, harmonise, variable_genes


@pytest.fixture
def table(rng):
    values = rng.normal(size=(40, 6)) * [1, 5, 3, 0, 2, 4] + 10
    return pd.DataFrame(values, columns=list("ABCDEF"))


def test_most_variable_genes_of_each_source_are_united(table, rng):
    other = pd.DataFrame(rng.normal(size=(40, 5)) * [9, 1, 1, 8, 1], columns=list("ABCDG"))
    assert variable_genes({"one": table}, 2).tolist() == ["B", "F"]
    # Only genes that both share: A, B, C, D. Of the first B and C, of the second A and D.
    assert variable_genes({"one": table, "two": other}, 2).tolist() == ["A", "B", "C", "D"]
    with pytest.raises(InputError, match="no gene in common"):
        variable_genes({"one": table, "two": other.add_prefix("x")}, 2)


def test_scaler_equals_scikit_learn_and_keeps_training_statistics(table):
    train, test = table.iloc[:30], table.iloc[30:]
    scaler = ExpressionScaler(n_genes=6).fit(train)
    reference = StandardScaler().fit(train)
    np.testing.assert_allclose(scaler.transform(train), reference.transform(train), atol=1e-6)
    np.testing.assert_allclose(scaler.transform(test), reference.transform(test), atol=1e-5)
    assert scaler.transform(train)["D"].abs().max() < 1e-6  # a constant gene does not divide by zero
    shuffled = table[list("FEDCBA")].assign(extra=1.0)
    pd.testing.assert_frame_equal(scaler.transform(shuffled), scaler.transform(table))


def test_errors_name_gene_and_sample(table):
    scaler = ExpressionScaler(n_genes=3).fit(table)
    with pytest.raises(InputError, match=r"1 of 3 learned genes are missing, 'C' first"):
        scaler.transform(table.drop(columns="C"))
    with pytest.raises(InputError, match="none of the learned genes"):
        scaler.transform(table.add_prefix("x"))
    broken = table.copy()
    broken.loc[7, "B"] = np.nan
    with pytest.raises(InputError, match="sample 7"):
        scaler.transform(broken)


@pytest.fixture
def domains():
    """60 cell lines and 20 xenografts, 80 genes; xenografts are shifted and spread, each gene in its own way."""
    rng = np.random.default_rng(7)
    domain = pd.Series(np.repeat(["line", "PDX"], [60, 20]), index=[f"s{i}" for i in range(80)])
    domain = domain.sample(frac=1, random_state=1)
    values = rng.normal(size=(80, 80)) * rng.uniform(0.5, 2, 80) + rng.uniform(2, 8, 80)
    there = (domain == "PDX").to_numpy()
    values[there] = (values[there] + rng.normal(1, 1, 80)) * rng.uniform(0.7, 1.6, 80)
    return pd.DataFrame(values, domain.index, [f"G{i}" for i in range(80)]), domain


def combat_by_hand(X, batch):
    """ComBat as in Johnson et al. (2007), section 3: parametric, no covariates, to the fixed point."""
    levels, n = np.unique(batch), len(X)
    alpha = sum((batch == level).sum() * X[batch == level].mean(0) for level in levels) / n
    residual = np.concatenate([X[batch == level] - X[batch == level].mean(0) for level in levels])
    sigma, corrected = np.sqrt(np.square(residual).sum(0) / n), np.empty(X.shape)
    for level in levels:
        Z = (X[batch == level] - alpha) / sigma
        m, gamma_hat, delta_hat = len(Z), Z.mean(0), Z.var(0, ddof=1)
        gamma_bar, tau2 = gamma_hat.mean(), gamma_hat.var(ddof=1)  # priors: over the genes of a batch
        v, s2 = delta_hat.mean(), delta_hat.var(ddof=1)
        lam, theta = (v**2 + 2 * s2) / s2, (v**3 + v * s2) / s2
        delta = delta_hat
        for _ in range(500):
            gamma = (m * tau2 * gamma_hat + delta * gamma_bar) / (m * tau2 + delta)
            delta = (theta + 0.5 * np.square(Z - gamma).sum(0)) / (m / 2 + lam - 1)
        corrected[batch == level] = sigma * (Z - gamma) / np.sqrt(delta) + alpha
    return corrected


def test_together_and_per_domain_equal_scikit_learn(domains):
    X, domain = domains
    whole = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(harmonise(X, domain, "together"), whole, atol=1e-5)
    parts = harmonise(X, domain.iloc[::-1], "per domain")  # found by name
    for name in ("line", "PDX"):
        own = domain.index[domain == name]
        np.testing.assert_allclose(parts.loc[own], StandardScaler().fit_transform(X.loc[own]), atol=1e-5)
    constant = X.assign(G0=X["G0"].where(domain != "PDX", 5.0))
    assert not harmonise(constant, domain, "per domain").loc[domain == "PDX", "G0"].any()
    assert parts.index.equals(X.index) and parts.columns.equals(X.columns)
    assert set(parts.dtypes) == {np.dtype("float32")}


def test_combat_equals_johnsons_formulas(domains):
    X, domain = domains
    reference = StandardScaler().fit_transform(combat_by_hand(X.to_numpy(), domain.to_numpy()))
    found = harmonise(X, domain, "combat")
    np.testing.assert_allclose(found, reference, atol=5e-3)  # the library ends at steps of 1e-4
    plain, parts = harmonise(X, domain, "together"), harmonise(X, domain, "per domain")
    for other in (plain, parts):  # it lies between the two
        assert np.abs(found - other).max().max() > 0.1
    means = found.groupby(domain).mean()
    assert (means.loc["PDX"] - means.loc["line"]).abs().max() < 0.4
    means = plain.groupby(domain).mean()
    assert (means.loc["PDX"] - means.loc["line"]).abs().max() > 1


def test_combat_with_three_domains_and_genes_that_are_constant(domains):
    X, domain = domains
    domain = domain.where(~domain.index.isin(domain.index[domain == "line"][:25]), "other line")
    clean = harmonise(X, domain, "combat")
    reference = StandardScaler().fit_transform(combat_by_hand(X.to_numpy(), domain.to_numpy()))
    np.testing.assert_allclose(clean, reference, atol=5e-3)
    odd = X.assign(nothing=3.0, domain_only=(domain == "PDX") * 2.0, half=X["G0"].where(domain != "PDX", 1.0))
    found = harmonise(odd, domain, "combat")
    assert np.isfinite(found).all().all()
    assert not found[["nothing", "domain_only"]].any().any()
    np.testing.assert_allclose(harmonise(odd.drop(columns="half"), domain, "combat")[X.columns], clean, atol=1e-6)
    spread = found["half"].groupby(domain).std()
    assert spread["PDX"] == 0 and spread["line"] > 0.5


@pytest.mark.parametrize("how", ["together", "per domain", "combat"])
def test_harmonised_twice_is_the_same_and_the_input_stays(domains, how):
    X, domain = domains
    before = X.copy()
    one, other = harmonise(X, domain, how), harmonise(X, domain, how)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    pd.testing.assert_frame_equal(X, before, check_exact=True)
    turned = harmonise(X.iloc[::-1], domain, how)
    np.testing.assert_allclose(turned.loc[X.index], one, atol=1e-5)
    renamed = harmonise(X, domain.map({"line": "b", "PDX": "a"}), how)
    np.testing.assert_allclose(renamed, one, atol=1e-5)


def test_one_domain_needs_no_correction(domains):
    X, domain = domains
    everywhere = pd.Series("line", index=domain.index)
    for how in ("per domain", "combat"):
        np.testing.assert_array_equal(harmonise(X, everywhere, how), harmonise(X, everywhere, "together"))


def test_what_cannot_be_harmonised_is_named(domains):
    X, domain = domains
    with pytest.raises(InputError, match="'joint' is unknown: use one of together, per domain, combat"):
        harmonise(X, domain, "joint")
    broken = X.copy()
    broken.loc["s7", "G3"] = np.nan
    for how in ("together", "per domain", "combat"):
        with pytest.raises(InputError, match=r"(?=.*'s7')(?=.*'G3')"):
            harmonise(broken, domain, how)
    alone = domain.where(domain.index != "s7", "organoid")
    for how in ("per domain", "combat"):
        with pytest.raises(InputError, match="domain 'organoid' has 1 sample: at least 2"):
            harmonise(X, alone, how)
        with pytest.raises(InputError, match="sample 's7' has no domain"):
            harmonise(X, domain.drop("s7"), how)
    with pytest.raises(InputError, match="at least 2 genes"):
        harmonise(X[["G1"]], domain, "combat")
