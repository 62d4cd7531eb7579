import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Lasso, Ridge

from leaplib import LEAP, InputError, LEAPPlus, PSRidge
from leaplib.base.metrics import spearman
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.cohorts.splits import tuning_folds
from leaplib.models.base import average
from leaplib.models.naive import shuffle_labels
from leaplib.models.ridge import SharedKernelRidge

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"n_hidden": 64, "n_components": 24, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 60}


@pytest.fixture(scope="module")
def problem(simulation):
    screen = simulation.dependencies
    lines = screen.expression.index[:-2]
    varied = screen.dependency.columns[screen.dependency.std() > 0.21][:12]
    x, y = screen.expression.loc[lines], screen.dependency.loc[lines, varied]
    y = y.mask(np.random.default_rng(0).random(y.shape) < 0.1)
    return x.iloc[:220], y.iloc[:220], x.iloc[220:], y.iloc[220:]


each_model = pytest.mark.parametrize("model", [PSRidge, LEAPPlus])


def small(**settings):
    return LEAP(**{"n_representations": 3, "n_genes": 200, "device": "cpu", "damae": SMALL, **settings})


@pytest.fixture(scope="module")
def fitted(problem):
    x, y, new, _ = problem
    return small().fit(x, y, unlabelled=new)


def mean_score(truth, prediction):
    return np.nanmean(spearman(truth.to_numpy(), prediction.to_numpy()))


def test_it_recovers_signal_and_is_no_worse_than_its_members(problem, fitted, simulation):
    _, _, new, truth = problem
    reached = mean_score(truth, fitted.predict(new))
    members = [mean_score(truth, member) for member in fitted.predict_members(new)]
    ceiling = mean_score(truth, simulation.true_dependency.loc[new.index, truth.columns])
    assert len(members) == 3
    assert np.mean(members) < reached < ceiling
    assert reached > 0.35


def test_some_perturbations_can_be_asked_for_and_unseen_ones_are_named(problem, fitted):
    new, names = problem[2], ["KO-X"]
    columns = fitted.predict(new).columns[[2, 0]]
    pd.testing.assert_frame_equal(fitted.predict(new, columns), fitted.predict(new)[columns])
    with pytest.raises(InputError, match="'KO-X' was not among"):
        fitted.predict(new, names)


def test_shuffled_labels_score_nothing(problem):
    x, y, new, truth = problem
    model = small(n_representations=2).fit(x, shuffle_labels(y, 0), unlabelled=new)
    assert abs(mean_score(truth, model.predict(new))) < 0.12


def test_the_seed_decides_everything(problem):
    x, y, new, _ = problem
    models = [small(random_state=seed, n_representations=1, damae={**SMALL, "max_epochs": 3}) for seed in (0, 0, 7)]
    one, same, other = (model.fit(x, y, unlabelled=new).predict(new) for model in models)
    pd.testing.assert_frame_equal(same, one)
    assert not other.equals(one)


def test_groups_reach_the_folds(problem, monkeypatch):
    x, y, _, _ = problem
    groups = pd.Series(np.arange(len(x)) % 7, index=x.index)
    seen = []
    monkeypatch.setattr("leaplib.models.leap.PSLasso.fit", lambda self, X, Y, folds: seen.append(folds) or self)
    small(damae={**SMALL, "max_epochs": 1}).fit(x, y, groups=groups)
    assert len(seen) == 3
    for folds in seen:
        assert folds.equals(tuning_folds(x.index, 0, groups))
        assert (folds.groupby(groups).nunique() == 1).all()


def test_bad_tables_are_named(problem, fitted):
    x, y, new, _ = problem
    with pytest.raises(InputError, match="expected a DataFrame"):
        small().fit(x.to_numpy(), y)
    with pytest.raises(InputError, match=f"{x.index[0]}"):
        small().fit(x.iloc[1:], y)
    with pytest.raises(InputError, match=f"'{x.index[3]}' stands more than once"):
        small().fit(x.rename(index={x.index[4]: x.index[3]}), y)
    with pytest.raises(InputError, match="no gene in common"):
        small().fit(x, y, unlabelled=new.add_prefix("other"))
    with pytest.raises(InputError, match="missing"):
        fitted.predict(new.iloc[:, 50:])
    with pytest.raises(InputError, match="none of the learned genes"):
        fitted.predict(new.add_prefix("other"))
    with pytest.raises(InputError, match=f"{new.index[1]}"):
        fitted.predict(new.mask(new.index.to_series().eq(new.index[1]), np.inf))


def test_average_refuses_frames_that_do_not_match():
    one = pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"])
    assert average([one, one + 2])["a"].tolist() == [2.0, 3.0]
    with pytest.raises(InputError, match="differ"):
        average([one, one.iloc[::-1]])


def test_a_saved_model_predicts_the_same_to_the_bit(problem, fitted, tmp_path):
    new = problem[2]
    loaded = LEAP.load(fitted.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(loaded.predict(new), fitted.predict(new))
    np.testing.assert_array_equal(loaded.predict_each(new), fitted.predict_each(new))
    assert loaded.folds_.equals(fitted.folds_) and loaded.get_params() == fitted.get_params()
    (tmp_path / "model" / "settings.json").write_text('{"model": "Other", "parameters": {}, "perturbations": []}')
    with pytest.raises(InputError, match="holds a Other, not a LEAP"):
        LEAP.load(tmp_path / "model")
    (tmp_path / "model" / "settings.json").write_text(
        '{"model": "LEAP", "parameters": {"depth": 2}, "perturbations": []}'
    )
    with pytest.raises(InputError, match="saved by another version"):
        LEAP.load(tmp_path / "model")
    with pytest.raises(InputError, match="not a saved LEAP"):
        LEAP.load(tmp_path)


def test_the_regressors_average_to_the_prediction_and_those_of_a_fold_did_not_see_it(problem, fitted):
    x, y, new, _ = problem
    each = fitted.predict_each(new)
    assert each.shape == (3, 5, len(new), y.shape[1])
    np.testing.assert_allclose(each.mean(axis=(0, 1)), fitted.predict(new))
    member, code = fitted.members_[1], fitted.features(x)[1]
    for fold, j in ((0, 2), (4, 7)):
        rows = (fitted.folds_ != fold) & y.iloc[:, j].notna()
        lasso = Lasso(alpha=member.alpha_[j], tol=1e-6, max_iter=20_000)
        lasso.fit(code[rows].astype(float), y.iloc[:, j][rows])
        np.testing.assert_allclose(member.predict_folds(code)[fold][:, j], lasso.predict(code), atol=2e-3)


def test_members_are_fitted_on_representations_that_are_there(problem, fitted):
    x, y, new, _ = problem
    again = small().fit_members(fitted.representations_, x, y)
    pd.testing.assert_frame_equal(again.predict(new), fitted.predict(new))


# PS-RIDGE and LEAP+


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


@pytest.mark.parametrize("grouped", [True, False])
def test_leap_plus_is_its_regressor_on_standardised_genes(problem, grouped):
    x, y, new, _ = problem
    groups = pd.Series(np.arange(len(x)) % 7, index=x.index) if grouped else None
    assert LEAPPlus().n_genes == LEAP().n_genes == PSRidge().n_genes
    found = LEAPPlus(n_genes=40, random_state=3).fit(x, y.iloc[::-1], groups=groups).predict(new)
    scaler = ExpressionScaler(40).fit(x)
    regressor = SharedKernelRidge().fit(scaler.transform(x), y, tuning_folds(x.index, 3, groups))
    pd.testing.assert_frame_equal(found, regressor.predict(scaler.transform(new)))


@each_model
def test_saved_models_predict_the_same_and_gene_weights_are_the_slope(problem, model, tmp_path, monkeypatch):
    x, y, new = problem[:3]
    monkeypatch.setattr("leaplib.models.ridge.DualRidge.block", 2)  # several blocks
    fitted = model(n_genes=40, random_state=3).fit(x, y)
    again = model.load(fitted.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(again.predict(new), fitted.predict(new), check_exact=True)
    names = list(y.columns[[4, 0, 3]])
    weights = again.gene_weights(new, names)
    assert weights.shape == (5, 40, 3)
    for gene in fitted.genes_[[0, 17, 39]]:
        step = 0.01 * fitted.representations_.scaler.scale_[gene]
        up, down = new.assign(**{gene: new[gene] + step}), new.assign(**{gene: new[gene] - step})
        rise = (fitted.predict_each(up) - fitted.predict_each(down))[0].mean(axis=1) / 0.02
        expected = rise[:, y.columns.get_indexer(names)]
        np.testing.assert_allclose(weights[:, fitted.genes_.get_loc(gene)], expected, atol=1e-4)
