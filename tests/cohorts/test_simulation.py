import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict

from leaplib.base.metrics import spearman
from leaplib.cohorts.fingerprints import morgan
from leaplib.cohorts.simulation import simulate


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


def test_xenografts_respond_through_the_same_programmes(simulation):
    """A linear map from latent truth exists: responses of the same drug correlate with a model of them."""
    x, y = simulation.xenografts.expression, simulation.xenografts.response
    scores = []
    for drug in y:
        measured = y[drug].dropna()
        predicted = cross_val_predict(RidgeCV(alphas=[1e2, 1e3]), x.loc[measured.index], measured, cv=5)
        scores.append(spearman(measured.to_numpy()[:, None], predicted[:, None])[0])
    assert np.mean(scores) > 0.3


def test_the_earlier_release_and_the_gene_effects_are_of_fewer_lines(simulation):
    now, earlier, effects = simulation.dependencies, simulation.earlier, simulation.effects
    assert earlier.dependency.index.isin(now.dependency.index).all() and len(earlier.dependency) < len(now.dependency)
    assert len(effects.dependency) < len(earlier.dependency)
    assert effects.expression is now.expression
    both = effects.dependency.index
    agreement = spearman(now.dependency.loc[both].to_numpy(), -effects.dependency.to_numpy())
    assert np.nanmean(agreement) > 0.3  # a needed gene has a negative effect
