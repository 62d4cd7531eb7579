"""Tables: tidy frames held against the saved predictions and the paper, and as people read them."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import load_cohort, load_task_splits
from leaplib.models.table import CONTROLS, names
from leaplib.profiles import get_profile
from leaplib.results import comparisons, printing, tables
from leaplib.results.claims import verdict
from leaplib.results.comparisons import compare_models, published_scores
from leaplib.results.load import Results
from leaplib.results.printing import cells_of, latex, latex_escape, mean_sd, styled
from leaplib.runs import records
from leaplib.runs.engine import UNPREPARED
from leaplib.runs.experiment import load_scores, run
from leaplib.tasks import get_task
from tests.conftest import frames
from tests.frames import load_predictions, make_scores, make_subset_scores, results_of, variant_scores


def rows(
    task, model, split, value, test_set=0, member=-1, level="per_perturbation", metric="spearman", perturbation=""
):
    return {"task": task, "model": model, "member": member, "split": split, "level": level, "metric": metric,
            "perturbation": perturbation, "test_set": test_set, "value": value, "data": "real"}  # fmt: skip


@pytest.fixture
def scores():
    table = []
    for split, (leap, first, second) in {"holdout-0": (0.4, 0.3, 0.2), "holdout-1": (0.6, 0.5, 0.7)}.items():
        table += [rows("2a", "LEAP", split, leap), rows("2a", "PS-LASSO", split, first, member=0),
                  rows("2a", "PS-LASSO", split, second, member=1), rows("2a", "PS-KNN", split, 0.1),
                  rows("2a", "Tissue mean", split, 0.2), rows("2a", "LEAP (shuffled labels)", split, 0.01),
                  rows("2a", "LEAP", split, 99.0, test_set=-1, perturbation="drug")]  # fmt: skip
    return pd.DataFrame(table)


def test_means_of_thousands_have_no_decimals_and_what_is_missing_is_empty():
    assert mean_sd(0.35044, 0.01194) == "0.3504 (0.0119)" and mean_sd(0.5, np.nan) == "0.5000"
    assert mean_sd(369595.4454, 338535.79) == "369595 (338536)" and mean_sd(np.nan, 1.0) == ""


def test_summary_is_mean_and_sd_over_splits_beside_the_paper(scores):
    table = comparisons.summary(scores).set_index("model")
    assert table.loc["LEAP", "mean"] == pytest.approx(0.5)
    assert table.loc["LEAP", "sd"] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert table.loc["LEAP", "n_splits"] == 2
    assert table.loc["LEAP", "published_mean"] == 0.3504
    assert table.loc["PS-LASSO", "mean"] == pytest.approx(0.4)  # the first representation alone
    assert table.index[-1] == "LEAP"


def test_test_sets_are_averaged_within_a_split_first():
    table = [rows("4b", "LEAP", "Lung", v, test_set=i) for i, v in enumerate([0.1, 0.2, 0.3])]
    table += [rows("4b", "LEAP", "Skin", 0.6)]
    result = comparisons.summary(pd.DataFrame(table)).iloc[0]
    assert result["mean"] == pytest.approx(0.4)
    assert result["n_splits"] == 2
    assert np.isnan(result["published_mean"])


def test_published_values_are_those_of_the_paper():
    table = published_scores().set_index(["task", "level", "metric", "model"]).sort_index()
    order = ["PP-LGBM", "PP-tDNN", "PP-MLP", "PS-KNN", "PS-LGBM", "PS-LASSO", "LEAP"]
    spearman = {"1a": [0.2844, 0.2860, 0.3048, 0.2278, 0.3028, 0.3208, 0.3319],
                "2a": [0.3351, 0.3302, 0.3409, 0.2980, 0.3349, 0.3387, 0.3504],
                "3a": [0.1905, 0.1851, 0.2046, 0.1142, 0.1916, 0.2192, 0.2330],
                "4a": [0.1303, 0.1446, 0.1474, 0.0896, 0.1424, 0.1558, 0.1695]}  # fmt: skip
    leap = {"1a": (0.0138, 0.3447, 0.6627), "2a": (0.0119, 0.3809, 0.7520), "3a": (0.0469, 0.2430, 0.6443),
            "4a": (0.0390, 0.1794, 0.7276)}  # fmt: skip
    for task, means in spearman.items():
        part = table.loc[(task, "per_perturbation", "spearman")]
        assert part.loc[order, "mean"].tolist() == means
        pearson, overall = (table.loc[(task, *key, "LEAP"), "mean"] for key in (
            ("per_perturbation", "pearson"), ("overall", "spearman")))  # fmt: skip
        assert (part.loc["LEAP", "sd"], pearson, overall) == leap[task]
    assert table.loc[("2a", "overall", "pearson", "PP-tDNN")].tolist() == [0.8132, 0.0037]
    assert table.loc[("2a", "per_perturbation", "mse", "PP-MLP"), "mean"] == 369595.4454
    assert table.index.is_unique and table.notna().all(axis=None) and len(table) == 11 + 4 * 7 * 6


def test_supplementary_table_2_lists_the_papers_own_rows_beside_real_data_alone():
    real = tables.supplementary_table_2(make_scores("1b"))
    theirs = real[real["n_splits"] == 0].set_index("model")
    assert theirs.loc["OmicsRPZ (DA-GN)", "published_mean"] == 0.2559
    assert theirs["mean"].isna().all()
    assert "PS-KNN" not in theirs.index  # it is among ours
    simulated = tables.supplementary_table_2(make_scores("1b", data="simulated"))
    assert simulated["n_splits"].gt(0).all()


def test_table_1_names_the_studies_that_are_there():
    parts = frames()
    parts["samples"] = parts["samples"].assign(study="GDSC v2/GDSC v1")
    cohort = Cohort(name="test", data="real", **parts)
    row = tables.table_1({"2a": cohort}).iloc[0]
    assert tables.table_1({"5b": cohort})["paper_pairs"].isna().all()  # the paper gives none
    assert row["studies"] == "GDSC v2, GDSC v1"  # neither CTRP, which is absent, nor CCLE, which is held out
    assert tables.table_1({"2a": replace(cohort, data="simulated")}).iloc[0]["studies"] == "simulated cohort"


@pytest.mark.parametrize(("present", "external"), [(["CCLE", "PRISM"], "PRISM"), (["CCLE"], "CCLE")])
def test_the_role_of_a_study_follows_what_is_there(present, external):
    counts = {"step": "records", "tissues": 1, "samples": 2, "perturbations": 3, "pairs": 6}
    studies = [("2a", study) for study in ["GDSC v1", *present]] + [("5a", "PDX Encyclopedia")]
    flows = pd.DataFrame([{"task": task, "branch": study, "data": "real", **counts} for task, study in studies])
    table = tables.supplementary_table_1(pd.concat([flows.assign(samples=9), flows]))  # the last rule's counts
    assert (table["samples"] == 2).all() and table.set_index("study")["paper_samples"]["GDSC v1"] == 976
    roles = dict.fromkeys(["GDSC v1", *present], "training") | {external: "external", "PDX Encyclopedia": "test"}
    assert table.set_index("study")["role"].to_dict() == roles


# ---- from saved results


TINY = replace(
    get_profile("smoke"), n_splits=2, n_test_sets=3, max_perturbations=6, n_genes=60, n_representations=2,
    tasks=("2a", "4a"), simulated_lines=220, simulated_genes=150,
    damae={"n_hidden": 24, "n_components": 12, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 6},
)  # fmt: skip


@pytest.fixture(scope="module")
def results(shared_home):
    run(TINY, ["2a"], ["ps-knn", "ps-lasso", "leap"])
    return Results(TINY)


def test_tables_are_those_of_the_saved_predictions(results):
    cohort = load_cohort(TINY, get_task("2a"))[0]
    found = tables.tidy("supplementary table 3", results).query("study == ''")
    found = found.set_index(["task", "model", "level", "metric"])
    for model, file in {"LEAP": "LEAP", "PS-KNN": "PS-KNN", "PS-LASSO": "PS-LASSO r0"}.items():
        per, overall, squares = [], [], []
        for split in load_task_splits(TINY, get_task("2a"), cohort):
            predicted = load_predictions(TINY, "2a", split.name, file)
            truth = cohort.response.loc[predicted.index, predicted.columns]
            per.append(np.mean([stats.spearmanr(truth[p], predicted[p], nan_policy="omit")[0] for p in truth]))
            pairs = pd.DataFrame({"a": truth.to_numpy().ravel(), "b": predicted.to_numpy().ravel()}).dropna()
            overall.append(stats.pearsonr(pairs["a"], pairs["b"])[0])
            squares.append(((truth - predicted) ** 2).mean().mean())
        for key, values in {("per_perturbation", "spearman"): per, ("overall", "pearson"): overall,
                            ("per_perturbation", "mse"): squares}.items():  # fmt: skip
            row = found.loc[("2a", model, *key)]
            assert row["mean"] == pytest.approx(np.mean(values), abs=1e-6)
            assert row["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)


def test_what_is_missing_is_listed_with_its_command(results):
    why = results.missing.set_index("missing")["why"]
    assert "run `leap run --profile smoke`" in why["task 4a"]
    assert "run `leap run --profile smoke --notebooks 06`" in why["ablations of task 2a (steps)"]
    assert "run `leap run --profile smoke --notebooks 10`" in why["candidates on task 2a"]
    assert "run notebook 01" in why["cohort of task 4a"] and "task 2a" not in why.index
    assert set(results.all_scores["study"]) == {"", "PRISM"} and list(results.cohorts) == ["2a"]
    assert results.times["model"].str.startswith("PS-LASSO r").sum() == 4
    for name, kept, told in (
        ("supplementary table 4", {}, "table 4 has no results: the ablations of task 2a were not run: run"),
        ("table 9", {}, "table 'table_9' is unknown: use one of table_1, "),
        ("supplementary table 3", {"colour": "red"}, "has no column 'colour': use one of task, study, model"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=told):
            tables.table(name, results, **kept)


def test_all_tables_that_have_results_are_saved(results):
    paths = tables.save_tables(results)
    expected = {"table_1", "supplementary_table_1", "supplementary_table_3", "comparisons", "claims",
                "data_preparation", "general_sensitivity"}  # fmt: skip
    for suffix in (".csv", ".tex"):
        assert {path.stem for path in paths if path.suffix == suffix} == expected
    assert [path.name for path in paths if path.suffix == ".xlsx"] == ["supplementary_tables.xlsx"]
    saved = pd.read_csv(next(path for path in paths if path.name == "supplementary_table_3.csv"))
    shown = cells_of(tables.table("supplementary table 3", results, model=["LEAP", "PS-KNN"], study=""))
    assert shown["Model"].tolist() == ["PS-KNN", "LEAP"] and len(set(saved["model"])) > 2
    cells = cells_of(tables.table("table 1", results))
    assert cells.columns.get_loc("Samples, paper") == cells.columns.get_loc("Samples") + 1
    assert cells[["Samples", "Samples, paper"]].to_numpy().tolist() == [[len(results.cohorts["2a"].samples), 1399]]
    with pytest.raises(InputError, match="there is no table to write"):
        tables.save_tables(results_of())


# ---- laid out


@pytest.fixture(scope="module")
def printed():
    """All kinds of tables: task 1a real, task 2a simulated."""
    everything = pd.concat([make_scores("1a"), make_scores("2a", data="simulated"), make_subset_scores("5b")])
    results = results_of(scores=everything, ablations=variant_scores(names=["one", "two", "three"], left_out=["three"]))
    kept = ("supplementary_table_3", "supplementary_table_4", "supplementary_table_7", "comparisons", "claims")
    return {name: styled(name, tables.tidy(name, results), 3) for name in kept}


def bold_of(table):
    """Tell where a table is bold, read off its HTML."""
    cells, html = cells_of(table), table.to_html()
    bold = set(re.findall(r"#T_\w+?_row(\d+)_col(\d+)", "".join(re.findall(r"(#T_[^{]*){[^}]*bold", html))))
    return pd.DataFrame([[(str(row), str(column)) in bold for column in range(cells.shape[1])]
                         for row in range(len(cells))], columns=cells.columns)  # fmt: skip


def test_scores_are_laid_out_with_the_papers_beside_real_data(printed):
    cells = cells_of(printed["supplementary_table_3"]).set_index(["Task", "Model"])
    tidy = comparisons.summary(make_scores("1a")).query("metric == 'spearman' and level == 'per_perturbation'")
    row = tidy.set_index("model").loc["LEAP"]
    assert cells.loc[("1a", "LEAP"), "Spearman"] == f"{row['mean']:.3f} ({row['sd']:.3f})"
    assert cells.loc[("1a", "LEAP"), "Spearman, paper"] == "0.332 (0.014)"
    assert cells.loc[("2a", "LEAP"), "Spearman, paper"] == ""
    assert cells.loc[("1a", "LEAP"), "Overall Spearman, paper"] == "0.663 (0.005)"
    assert cells.loc[("1a", "LEAP"), "Splits"] == 3
    assert "Data: real; simulated (simulated rows are shaded)." in printed["supplementary_table_3"].caption


def test_the_best_model_is_bold_and_controls_and_the_paper_are_not():
    values = {"PS-KNN": 0.30, "PS-LASSO": 0.3002, "LEAP": 0.2, "Tissue mean": 0.9}
    rows = [("1a", model, level, metric, value, 0.01, 3, "real", np.nan, np.nan)
            for model, value in values.items()
            for level, metric in (("per_perturbation", "spearman"), ("per_perturbation", "mse"))]  # fmt: skip
    columns = ["task", "model", "level", "metric", "mean", "sd", "n_splits", "data", "published_mean", "published_sd"]
    tidy = pd.concat([pd.DataFrame(rows, columns=columns),
                      pd.DataFrame([["2a", "LEAP", *row[2:]] for row in rows[:1]], columns=columns)])  # fmt: skip
    table = styled("supplementary_table_3", tidy)
    bold = bold_of(table).set_axis(pd.MultiIndex.from_frame(cells_of(table)[["Task", "Model"]]))
    assert bold.index[bold["Spearman"]].tolist() == [("1a", "PS-LASSO")]
    assert bold.index[bold["MSE"]].tolist() == [("1a", "LEAP")]  # the lowest
    coarse = bold_of(styled("supplementary_table_3", tidy, 2))
    assert coarse["Spearman"].tolist() == [True, True, False, False, False]  # ties at the printed decimals
    assert not bold[["Task", "Model", "Splits", "Data"]].any(axis=None)


def test_xenografts_stand_drug_by_drug(printed):
    table = printed["supplementary_table_7"]
    cells = cells_of(table)
    assert cells["Drug"].is_monotonic_increasing and cells["Model"].tolist() == [*cells["Model"][:6]] * 5
    assert cells["Model"].iloc[[0, 5]].tolist() == ["Training mean", "LEAP"]
    assert bold_of(table)["Spearman"].groupby(cells["Drug"]).sum().tolist() == [1] * 5


def test_comparisons_say_who_won(printed):
    row = cells_of(printed["comparisons"]).query("Task == '1a' and Model == 'PS-KNN'").iloc[0]
    assert re.fullmatch(r"\+0\.\d{3}", row["Difference"])
    assert re.fullmatch(r"[+-]0\.\d{3} to \+0\.\d{3}", row["95% interval"]) and row["Splits won"] == "3 of 3"
    assert printing.p_value(1e-5) == "< 0.0001" and printing.p_value(np.nan) == ""


def test_the_workbook_has_titles_values_bold_and_shades(printed, home):
    book = load_workbook(printing.save_workbook(printed, "smoke"))
    assert book.sheetnames == [name.replace("_", " ").capitalize() for name in printed]
    for name, table in printed.items():
        sheet, cells = book[name.replace("_", " ").capitalize()], cells_of(table)
        assert sheet["A1"].value.startswith(("Supplementary table", "LEAP less", "The paper's claims"))
        rows = [["" if v is None else v for v in row] for row in sheet.iter_rows(min_row=2, values_only=True)]
        assert rows == [list(cells), *cells.to_numpy().tolist()]
        assert sheet.freeze_panes == "A3" and sheet.print_title_rows == "$1:$2"
        assert sheet.page_setup.paperSize == 9 and sheet.sheet_properties.pageSetUpPr.fitToPage
    table, sheet = printed["supplementary_table_3"], book["Supplementary table 3"]
    bold = [[bool(cell.font.b) for cell in row] for row in sheet.iter_rows(min_row=3)]
    assert bold == bold_of(table).to_numpy().tolist() and any(map(any, bold))
    shades = [{cell.fill.fgColor.rgb[-6:] for cell in row if cell.fill.patternType}
              for row in sheet.iter_rows(min_row=3)]  # fmt: skip
    assert shades == [{printing.SIMULATED[1:]} if data == "simulated" else set() for data in cells_of(table)["Data"]]


def test_text_is_text_and_counts_are_numbers_in_the_workbook(home):
    table = styled("domain_shift", pd.DataFrame({"drug": ["=1+1", "-x", "5-FU"], "pairs": [1234, 5, 6]}))
    sheet = load_workbook(printing.save_workbook({"domain_shift": table}, "smoke"))["Domain shift"]
    assert (sheet["A3"].value, sheet["A3"].data_type) == ("=1+1", "s")
    assert (sheet["B3"].value, sheet["B3"].number_format) == (1234, "#,##0")


def test_latex_is_escaped_and_breaks_what_is_long():
    assert latex_escape(r"50% & $3_x {a} #1 ~ ^ \ < >") == (
        r"50\% \& \$3\_x \{a\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{} \textgreater{}"
    )
    text = latex(styled("domain_shift", pd.DataFrame({"drug": ["A_1 & B", "50% #"], "pairs": [1234, 5]})))
    assert r"A\_1 \& B & 1,234 \\" in text and r"50\% \# & 5 \\" in text and r"\begin{longtable}{lr}" in text
    long = latex(styled("domain_shift", pd.DataFrame({"claim": ["more letters than a line should have"], "n": [1]})))
    assert rf"\begin{{longtable}}{{{printing.PARAGRAPH}r}}" in long


def test_latex_is_balanced_bold_and_shaded(printed, home):
    for path in printing.save_latex(printed, "smoke"):
        text = path.read_text(encoding="utf-8")
        for begin, end in (("begin{longtable}", "end{longtable}"), ("begingroup", "endgroup")):
            assert text.count("\\" + begin) == text.count("\\" + end) > 0
        assert text.count("{") == text.count("}") and r"\caption{" not in text  # it would be numbered twice
        assert not re.search(r"(?<!\\)[#_]", text)
    table = printed["supplementary_table_3"]
    halves = latex(table).split(r"\end{longtable}")
    assert "Per perturbation." in halves[0] and "Over all pairs at once." in halves[1] and len(halves) == 3
    assert r"\textbf{Overall}" not in halves[0] and r"\textbf{Overall}\\" in halves[1]
    best = cells_of(table).loc[bold_of(table)["Spearman"], "Spearman"].iloc[0]
    assert re.search(rf"\\bfseries [^&]*{re.escape(best)}", halves[0]) and r"\cellcolor[HTML]{FBE9D9}" in halves[0]


# ---- gaps: what failed is shown as such, and no number stands in its place


def failed(model, splits):
    """Return scores in which a model failed on some splits, as `load_scores` gives them."""
    scores = pd.concat([make_scores("1b", "simulated"), make_scores("2a", "simulated")])
    gone = (scores["model"] == model) & scores["split"].isin(splits)
    gaps = scores[gone & (scores["perturbation"] == "")].assign(value=np.nan)
    return pd.concat([scores[~gone], gaps], ignore_index=True)


@pytest.mark.parametrize(("model", "n"), [("LEAP", 1), ("LEAP", 3), ("PS-LASSO", 3), ("PS-KNN", 1), ("Tissue mean", 3)])
def test_tables_show_gaps(model, n):
    found = failed(model, [f"holdout-{number}" for number in range(n)])
    summary = comparisons.summary(found)
    row = summary.query("task == '2a' and model == @model and metric == 'spearman' and level == 'overall'").iloc[0]
    assert row["n_splits"] == 3 - n and np.isnan(row["mean"]) == (n == 3)
    printed = styled("supplementary_table_3", summary)
    cells = cells_of(printed).query("Task == '2a' and Model == @model").iloc[0]
    assert cells["Splits"] == 3 - n and (cells["Spearman"] == "") == (n == 3)
    told = verdict(results_of(scores=found), "task 2a")
    assert "nan" not in "".join([latex(printed), told, printed.to_html()]).lower()
    compared = compare_models(found)
    assert not compared[["difference", "n_splits"]].isna().any(axis=None)
    assert "nan" not in latex(styled("comparisons", compared)).lower()


def test_failures_are_gaps_in_what_is_loaded(home):
    records.keep(
        "smoke", records.Failure("fit 2a holdout-1 PS-TCRP", "key", "E: e", "", {}, "2a", "holdout-1", "PS-TCRP")
    )
    records.keep("smoke", records.failure_of(records.preparing("1a"), "", ValueError("no"), "1a"))
    partly = records.Failure("fit 2a holdout-1 LEAP", "key", "E: e", "", {"drug": "E"}, "2a", "holdout-1", "LEAP")
    records.keep("smoke", partly)
    found = load_scores("smoke")
    assert found["value"].isna().all()
    assert set(found.loc[found["task"] == "2a", "model"]) == {"PS-TCRP", "PS-TCRP (10-shot)"}
    prepared = found[found["task"] == "1a"]
    assert set(prepared["split"]) == {UNPREPARED}
    assert {"LEAP", *CONTROLS.values()} <= set(prepared["model"]) <= {*names(), *CONTROLS.values()}
    assert set(found["data"]) == {"simulated"}
    assert (comparisons.summary(found)["n_splits"] == 0).all()
