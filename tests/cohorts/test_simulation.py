import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import cross_val_predict

from leaplib.base.metrics import spearman
from leaplib.cohorts.selection import morgan
from leaplib.cohorts.simulation import simulate
from leaplib.models.knn import PSKNN
from leaplib.models.lasso import PSLasso


def test_the_same_seed_gives_the_same_cohort():
    one, other, third = simulate(120, 100, seed=3), simulate(120, 100, seed=3), simulate(120, 100, seed=4)
    pd.testing.assert_frame_equal(one.drugs.responses, other.drugs.responses)
    pd.testing.assert_frame_equal(one.dependencies.expression, other.dependencies.expression)
    assert not one.drugs.expression.iloc[:5, :5].equals(third.drugs.expression.iloc[:5, :5])


def test_structures_are_valid_and_differ(simulation):
    bits = morgan(simulation.drugs.smiles)
    assert len(bits.drop_duplicates()) > 0.8 * len(bits)


def test_expression_predicts_responses_up_to_the_known_ceiling(simulation):
    """What a plain ridge reaches lies between nothing and the correlation of the truth itself."""
    screen = simulation.dependencies
    lines = screen.expression.index[:-2]
    observed, truth = screen.dependency.loc[lines], simulation.true_dependency.loc[lines]
    varied = observed.columns[observed.std() > 0.21]
    ceiling = np.nanmean(spearman(observed[varied].to_numpy(), truth[varied].to_numpy()))
    model = RidgeCV(alphas=[1e2, 1e3, 1e4])
    predicted = cross_val_predict(model, screen.expression.loc[lines], observed[varied], cv=5)
    reached = np.nanmean(spearman(observed[varied].to_numpy(), predicted))
    assert 0.4 < reached < ceiling < 1


def codes(expression):
    """As many principal components as a code of the smoke profile has values."""
    left, lengths, _ = np.linalg.svd((expression - expression.mean()) / expression.std(), full_matrices=False)
    return pd.DataFrame((left * lengths / len(left) ** 0.5)[:, :32], expression.index)


def scores(X, Y, train, test, groups):
    """Return what PS-KNN and PS-LASSO reach on test samples."""
    folds = pd.Series(groups[train] % 5, X.index[train])
    found = []
    for model in (PSKNN(), PSLasso()):
        predicted = model.fit(X.iloc[train], Y.iloc[train], folds, None, None).predict(X.iloc[test])
        found.append(np.nanmean(spearman(Y.iloc[test].to_numpy(), predicted.to_numpy())))
    return found


def test_models_score_about_as_in_the_paper():
    """Task 1b: 0.21 and 0.30 on unseen lines; 0.11 and 0.22 on unseen tissues (supplementary tables 2 and 3)."""
    screen, rng = simulate(480, 500).dependencies, np.random.default_rng(0)
    X = codes(screen.expression.iloc[:-2])
    Y = screen.dependency.loc[X.index]
    Y = Y.loc[:, Y.std() > 0.21]
    orders = [np.array_split(rng.permutation(len(X)), [len(X) // 5]) for _ in range(3)]
    holdouts = [scores(X, Y, train, test, np.arange(len(X))) for test, train in orders]
    np.testing.assert_allclose(np.mean(holdouts, axis=0), (0.21, 0.30), atol=0.05)
    tissue, names = pd.factorize(screen.samples["tissue"].loc[X.index])
    parts = [(np.flatnonzero(tissue != number), np.flatnonzero(tissue == number)) for number in range(len(names))]
    tissues = [scores(X, Y, train, test, tissue) for train, test in parts]
    np.testing.assert_allclose(np.mean(tissues, axis=0), (0.11, 0.22), atol=0.05)


def test_xenografts_respond_through_the_same_programmes_but_weakly():
    """Task 5a: about 0.1; five drugs in 120 xenografts say little, so seeds are averaged."""
    found = []
    for seed in range(12):
        cohort = simulate(320, 200, seed=seed)
        response, studies = cohort.xenografts.response, cohort.drugs.responses
        lines = studies.pivot_table(index="line", columns="drug", values="aac").reindex(columns=response.columns)
        tumours = cohort.xenografts.expression
        X = cohort.dependencies.expression
        X, tumours = ((part - part.mean()) / part.std() for part in (X.loc[X.index.intersection(lines.index)], tumours))
        labels = lines.loc[X.index].fillna(lines.mean())
        predicted = Ridge(1e3).fit(X, labels).predict(tumours.fillna(0))
        found.append(np.nanmean(spearman(response.to_numpy(), predicted)))
    assert abs(np.mean(found) - 0.1) < 0.05, np.mean(found)


def test_the_earlier_release_and_the_gene_effects_are_of_fewer_lines(simulation):
    now, earlier, effects = simulation.dependencies, simulation.earlier, simulation.effects
    assert earlier.dependency.index.isin(now.dependency.index).all() and len(earlier.dependency) < len(now.dependency)
    assert len(effects.dependency) < len(earlier.dependency)
    assert effects.expression is now.expression
    both = effects.dependency.index
    agreement = spearman(now.dependency.loc[both].to_numpy(), -effects.dependency.to_numpy())
    assert np.nanmean(agreement) > 0.3  # a needed gene has a negative effect
