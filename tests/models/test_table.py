from pathlib import Path

import pytest

from leaplib.base.errors import InputError
from leaplib.figures import style
from leaplib.models import table as models
from leaplib.profiles import PROFILES


def test_the_table_holds_the_papers_grids():
    table = models.hyper_parameters().set_index("model")
    assert table["points"].to_dict() == {
        "PP-LGBM": 10, "PP-tDNN": 5, "PP-MLP": 10,
        "PS-KNN": 1, "PS-LGBM": 10, "PS-TCRP": 10, "PS-LASSO": 10, "PS-RIDGE": 10, "LEAP": 10, "LEAP+": 10,
        "PS-RF": 2, "LEAP on PCA views": 10, "LEAP on random projections": 10, "LEAP on linear encoders": 10,
        "LEAP over PS-KNN": 1, "LEAP over PS-LGBM": 10,
    }  # fmt: skip
    assert table["tuned"]["PS-LGBM"] == "learning_rate: 0.005, 0.01; feature_fraction: 0.05, 0.1, 0.15, 0.2, 0.25"
    assert "n_estimators 400" in table["fixed"]["PS-LGBM"]
    assert "n_estimators 500" in table["fixed"]["PP-LGBM"] and "num_leaves 4000" in table["fixed"]["PP-LGBM"]
    assert table["points"].max() <= 10


def test_the_readme_shows_this_table():
    text = (Path(__file__).parents[2] / "notebooks" / "README.md").read_text(encoding="utf-8")
    for row in models.hyper_parameters().itertuples():
        assert f"| {row.model} | {row.about} | {row.tuned} | {row.points} | {row.fixed} |" in text


def test_a_profiles_settings_make_an_estimator_and_show_in_its_table():
    for profile in PROFILES.values():
        for key, settings in profile.models.items():
            made = models.make(models.MODELS[key], settings, "cpu").get_params()
            assert {name: made[name] for name in settings} == dict(settings)
    smoke = models.hyper_parameters(PROFILES["smoke"].models).set_index("model")
    assert smoke["points"]["PS-LGBM"] == 1 and "n_estimators 20" in smoke["fixed"]["PS-LGBM"]


def test_every_model_that_runs_unasked_has_a_colour():
    asked = {model.name for model in models.MODELS.values() if not model.usual}
    for name in {*models.CONTROLS.values(), *models.names()} - asked:
        assert name in style.COLOURS


def test_unknown_models_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'ps-svm' is unknown: use one of pp-lgbm"):
        models.check_models(["leap", "ps-svm"])
