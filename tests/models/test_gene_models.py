import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from leaplib import LEAP, InputError, LEAPPlus, PSRidge
from leaplib.base.metrics import spearman
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.cohorts.splits import tuning_folds
from leaplib.models.kernel import SharedKernelRidge
from leaplib.models.naive import shuffle_labels


@pytest.fixture(scope="module")
def problem(simulation):
    screen = simulation.dependencies
    lines = screen.expression.index[:-2]
    varied = screen.dependency.columns[screen.dependency.std() > 0.21][:12]
    x, y = screen.expression.loc[lines], screen.dependency.loc[lines, varied]
    y = y.mask(np.random.default_rng(0).random(y.shape) < 0.1)
    return x.iloc[:220], y.iloc[:220], x.iloc[220:], y.iloc[220:]


def mean_score(truth, prediction):
    return np.nanmean(spearman(truth.to_numpy(), prediction.to_numpy()))


each_model = pytest.mark.parametrize("model", [PSRidge, LEAPPlus])


@each_model
def test_signal_is_recovered_and_shuffled_labels_score_nothing(problem, model):
    x, y, new, truth = problem
    assert mean_score(truth, model().fit(x, y, unlabelled=new).predict(new)) > 0.35
    assert abs(mean_score(truth, model().fit(x, shuffle_labels(y, 0)).predict(new))) < 0.15


def test_ps_ridge_is_ridge_on_genes_chosen_and_standardised_over_all_samples(problem):
    """Written out: the union of both sources' 40 most variable genes, mean and SD of all samples, grouped folds."""
    x, y, new, _ = problem
    groups = pd.Series(np.arange(len(x)) % 7, index=x.index)
    model = PSRidge(n_genes=40).fit(x, y.iloc[::-1], unlabelled=new, groups=groups)
    genes = sorted({*x.var().nlargest(40).index, *new.var().nlargest(40).index})
    pool = pd.concat([x, new])[genes]
    seen, unseen = ((part[genes] - pool.mean()) / pool.std(ddof=0) for part in (x, new))
    folds, drug = tuning_folds(x.index, 0, groups), y.columns[3]
    predictions = []
    for fold in range(5):
        rows = y.index[(folds != fold) & y[drug].notna()]
        ridge = Ridge(model.members_[0].penalty_[3]).fit(seen.loc[rows], y.loc[rows, drug])
        predictions.append(ridge.predict(unseen))
    np.testing.assert_allclose(model.predict(new)[drug], np.mean(predictions, axis=0), rtol=1e-5)
    weighted = unseen @ model.coef_[drug] + model.members_[0].intercept_[3]
    np.testing.assert_allclose(model.predict(new)[drug], weighted, rtol=1e-5)
    assert model.coef_.index.tolist() == genes


def test_leap_plus_is_its_regressor_on_standardised_genes(problem):
    x, y, new, _ = problem
    groups = pd.Series(np.arange(len(x)) % 7, index=x.index)
    assert LEAPPlus().n_genes == LEAP().n_genes == PSRidge().n_genes
    found = LEAPPlus(n_genes=40, random_state=3).fit(x, y.iloc[::-1], groups=groups).predict(new)
    scaler = ExpressionScaler(40).fit(x)
    regressor = SharedKernelRidge().fit(scaler.transform(x), y, tuning_folds(x.index, 3, groups))
    pd.testing.assert_frame_equal(found, regressor.predict(scaler.transform(new)))


@each_model
def test_saved_models_predict_the_same_and_have_weights_of_genes(problem, model, tmp_path):
    x, y, new, _ = problem
    fitted = model(n_genes=40).fit(x, y)
    again = model.load(fitted.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(again.predict(new), fitted.predict(new), check_exact=True)
    each = again.predict_each(new)
    assert each.shape[:2] == (1, 5)
    np.testing.assert_allclose(each.mean(axis=(0, 1)), fitted.predict(new))
    # To first order, predictions follow the weights: one gene is moved by a hundredth of its SD.
    gene, wanted = fitted.genes_[7], list(y.columns[[5, 2]])
    weights = again.gene_weights(new, wanted)
    moved = new.assign(**{gene: new[gene] + 0.01 * fitted.representations_.scaler.scale_[gene]})
    change = (fitted.predict(moved, wanted) - fitted.predict(new, wanted)).mean() / 0.01
    np.testing.assert_allclose(weights.mean(axis=0)[7], change, rtol=0.02, atol=1e-4)


@each_model
def test_some_perturbations_can_be_asked_for_and_bad_tables_are_named(problem, model):
    x, y, new, _ = problem
    fitted = model(n_genes=40).fit(x, y)
    wanted = [y.columns[2], y.columns[0]]
    pd.testing.assert_frame_equal(fitted.predict(new, wanted), fitted.predict(new)[wanted])
    with pytest.raises(InputError, match="'KO-X' was not among"):
        fitted.predict(new, ["KO-X"])
    with pytest.raises(InputError, match=f"{x.index[0]}"):
        model().fit(x.iloc[1:], y)
    with pytest.raises(InputError, match="no gene in common"):
        model().fit(x, y, unlabelled=new.add_prefix("other"))


@each_model
def test_gene_weights_are_the_slope_of_the_prediction(problem, model, monkeypatch):
    x, y, new = problem[0], problem[1], problem[2]
    if model is PSRidge:
        monkeypatch.setattr("leaplib.models.ridge.DualRidge.block", 2)  # several blocks
    fitted = model(n_genes=40, random_state=3).fit(x, y)
    names = list(y.columns[[4, 0, 3]])
    weights = fitted.gene_weights(new, names)
    assert weights.shape == (5, 40, 3)
    for gene in fitted.genes_[[0, 17, 39]]:
        step = 0.01 * fitted.representations_.scaler.scale_[gene]
        up, down = new.copy(), new.copy()
        up[gene], down[gene] = new[gene] + step, new[gene] - step
        rise = (fitted.predict_each(up) - fitted.predict_each(down))[0].mean(axis=1) / 0.02
        expected = rise[:, y.columns.get_indexer(names)]
        np.testing.assert_allclose(weights[:, fitted.genes_.get_loc(gene)], expected, atol=1e-4)
