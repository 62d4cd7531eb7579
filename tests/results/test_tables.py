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
from leaplib.profiles import get_profile
from leaplib.results import latex, print_tables, tables, workbook
from leaplib.results.evidence import Evidence, load_evidence
from leaplib.results.print_tables import PrintTable, print_table
from leaplib.results.published import SCORES, TASK_1B, published_scores
from leaplib.results.scores import load_predictions
from leaplib.runs.ablations import COLUMNS as ABLATION_COLUMNS
from leaplib.runs.experiment import run_task
from leaplib.tasks import get_task
from tests.conftest import frames
from tests.frames import make_scores, make_subset_scores


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


def test_means_of_thousands_have_no_decimals():
    assert tables.mean_sd(369595.4454, 338535.79) == "369595 (338536)"
    assert tables.mean_sd(0.25, float("nan")) == "0.2500" and tables.mean_sd(float("nan"), 1.0) == ""


def test_summary_is_mean_and_sd_over_splits_beside_the_paper(scores):
    table = tables.summary(scores).set_index("model")
    assert table.loc["LEAP", "mean"] == pytest.approx(0.5)
    assert table.loc["LEAP", "sd"] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert table.loc["LEAP", "n_splits"] == 2
    assert table.loc["LEAP", "published_mean"] == 0.3504
    assert table.loc["PS-LASSO", "mean"] == pytest.approx(0.4)  # the first representation alone
    assert table.index[-1] == "LEAP"


def test_test_sets_are_averaged_within_a_split_first():
    table = [rows("4b", "LEAP", "Lung", v, test_set=i) for i, v in enumerate([0.1, 0.2, 0.3])]
    table += [rows("4b", "LEAP", "Skin", 0.6)]
    result = tables.summary(pd.DataFrame(table)).iloc[0]
    assert result["mean"] == pytest.approx(0.4)
    assert result["n_splits"] == 2
    assert np.isnan(result["published_mean"])


def test_verdict_counts_the_splits_that_leap_wins(scores):
    text = tables.verdict(scores, "2a")
    assert "above PS-LASSO in 2 of 2 holdouts" in text
    assert "0.500" in text
    assert "The paper reports: LEAP 0.350, PP-LGBM 0.335" in text
    assert "Other models" not in text
    assert "0.400 to 0.450" in text


def test_verdict_names_the_other_models_and_the_best_of_them(scores):
    others = [rows("2a", model, split, value) for model, values in {"PP-MLP": (0.1, 0.7), "PS-LGBM": (0.3, 0.2)}.items()
              for split, value in zip(("holdout-0", "holdout-1"), values, strict=True)]  # fmt: skip
    text = tables.verdict(pd.concat([scores, pd.DataFrame(others)]), "2a")
    assert "Other models: PP-MLP 0.400, PS-LGBM 0.250; LEAP is above PP-MLP in 1 of 2 holdouts." in text


def test_mean_sd():
    assert tables.mean_sd(0.35044, 0.01194) == "0.3504 (0.0119)"
    assert tables.mean_sd(0.5, np.nan) == "0.5000"
    assert tables.mean_sd(np.nan, np.nan) == ""


def test_published_values_are_those_of_the_paper():
    table = published_scores().set_index(["task", "model", "level", "metric"])
    assert table.loc[("1a", "PP-LGBM", "per_perturbation", "spearman"), ["mean", "sd"]].tolist() == [0.2844, 0.0177]
    assert table.loc[("4a", "LEAP", "per_perturbation", "pearson"), ["mean", "sd"]].tolist() == [0.1794, 0.0467]
    assert table.loc[("3a", "LEAP", "overall", "spearman"), ["mean", "sd"]].tolist() == [0.6443, 0.0288]
    assert table.loc[("2a", "PP-tDNN", "overall", "pearson"), ["mean", "sd"]].tolist() == [0.8132, 0.0037]
    assert table.loc[("2a", "PP-MLP", "per_perturbation", "mse"), "mean"] == 369595.4454
    assert not table.index.duplicated().any()
    assert table.notna().all(axis=None)
    assert len(table) == len(TASK_1B) + 4 * 7 * 6


def test_published_values_are_those_of_the_specification():
    order = ["PP-LGBM", "PP-tDNN", "PP-MLP", "PS-KNN", "PS-LGBM", "PS-LASSO", "LEAP"]
    spearman = {
        "1a": ([0.2844, 0.2860, 0.3048, 0.2278, 0.3028, 0.3208, 0.3319],
               [0.0177, 0.0158, 0.0134, 0.0096, 0.0144, 0.0134, 0.0138]),
        "2a": ([0.3351, 0.3302, 0.3409, 0.2980, 0.3349, 0.3387, 0.3504],
               [0.0150, 0.0138, 0.0148, 0.0140, 0.0153, 0.0119, 0.0119]),
        "3a": ([0.1905, 0.1851, 0.2046, 0.1142, 0.1916, 0.2192, 0.2330],
               [0.0532, 0.0498, 0.0462, 0.0430, 0.0509, 0.0476, 0.0469]),
        "4a": ([0.1303, 0.1446, 0.1474, 0.0896, 0.1424, 0.1558, 0.1695],
               [0.0390, 0.0401, 0.0411, 0.0267, 0.0374, 0.0362, 0.0390]),
    }  # fmt: skip
    pearson = {"1a": [0.3005, 0.3002, 0.3184, 0.2416, 0.3177, 0.3335, 0.3447],
               "2a": [0.3685, 0.3629, 0.3695, 0.3261, 0.3673, 0.3692, 0.3809],
               "3a": [0.2022, 0.1936, 0.2135, 0.1199, 0.2026, 0.2289, 0.2430],
               "4a": [0.1443, 0.1588, 0.1605, 0.0986, 0.1582, 0.1667, 0.1794]}  # fmt: skip
    overall = {"1a": 0.6627, "2a": 0.7520, "3a": 0.6443, "4a": 0.7276}
    table = published_scores().set_index(["task", "level", "metric", "model"]).sort_index()
    for task in SCORES:
        part = table.loc[(task, "per_perturbation", "spearman")].loc[order]
        assert (part["mean"].tolist(), part["sd"].tolist()) == spearman[task]
        assert table.loc[(task, "per_perturbation", "pearson")].loc[order, "mean"].tolist() == pearson[task]
        assert table.loc[(task, "overall", "spearman", "LEAP"), "mean"] == overall[task]


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


# ---- from saved results


TINY = replace(
    get_profile("smoke"), n_splits=2, n_test_sets=3, max_perturbations=6, n_genes=60, n_representations=2,
    tasks=("2a", "4a"), simulated_lines=220, simulated_genes=150,
    damae={"n_hidden": 24, "n_components": 12, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 6},
)  # fmt: skip


@pytest.fixture(scope="module")
def results(shared_home):
    run_task(TINY, "2a", ["ps-knn", "ps-lasso", "leap"])
    return load_evidence(TINY)


def test_tables_are_those_of_the_saved_predictions(results):
    cohort = load_cohort(TINY, get_task("2a"))[0]
    found = results.tables()["supplementary_table_3"].set_index(["task", "model", "level", "metric"])
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
    assert "run `leap run --profile smoke --notebooks 06`" in why["ablations of task 2a"]
    assert "run `leap run --profile smoke --notebooks 01`" in why["cohort of task 4a"]
    assert "task 2a" not in why.index
    assert {"table_1", "supplementary_table_1", "supplementary_table_3", "comparisons"} == set(results.tables())
    assert set(results.scores["task"]) == {"2a", "2a external"}
    assert results.log["model"].str.startswith("PS-LASSO r").sum() == 4


def test_evidence_of_some_models_or_none(results, home):
    with pytest.raises(InputError, match=r"no results of task 2a, 4a in .*: run `leap run --profile smoke` first"):
        load_evidence(TINY)


def test_a_subset_of_models(results):
    few = load_evidence(TINY, ["2a"], models=["LEAP", "PS-KNN"])
    assert set(few.scores["model"]) == {"LEAP", "PS-KNN"}
    assert few.comparisons["model"].unique().tolist() == ["PS-KNN"]


# ---- laid out


def ablation_scores():
    rows = [("1a", "steps", f"step {n}", "PS-LASSO", -1, split, "per_perturbation", perturbation, number, "spearman",
             0.1 * n + shift, "real", "")
            for n in (1, 2) for split, shift in (("a", 0.01), ("b", -0.01))
            for perturbation, number in (("", 0), ("p", -1))]  # fmt: skip
    rows.append(
        ("1a", "steps", "step 3", "LEAP", -1, "", "per_perturbation", "", 0, "spearman", np.nan, "real", "not run")
    )
    return pd.DataFrame(rows, columns=ABLATION_COLUMNS)


@pytest.fixture(scope="module")
def printed():
    """All kinds of tables: task 1a real, task 2a simulated."""
    everything = pd.concat([make_scores("1a"), make_scores("2a", data="simulated"), make_subset_scores("5b")])
    return print_tables.print_tables(Evidence(scores=everything, ablations=ablation_scores()).tables(), digits=3)


def test_scores_are_laid_out_with_the_papers_beside_real_data(printed):
    table = printed["supplementary_table_3"]
    cells = table.cells.set_index(["task", "model"])
    tidy = tables.summary(make_scores("1a")).query("metric == 'spearman' and level == 'per_perturbation'")
    row = tidy.set_index("model").loc["LEAP"]
    assert cells.loc[("1a", "LEAP"), "Spearman"] == f"{row['mean']:.3f} ({row['sd']:.3f})"
    assert cells.loc[("1a", "LEAP"), "Spearman, paper"] == "0.332 (0.014)"
    assert cells.loc[("2a", "LEAP"), "Spearman, paper"] == ""
    assert cells.loc[("1a", "LEAP"), "overall Spearman, paper"] == "0.663 (0.005)"
    assert cells.loc[("1a", "LEAP"), "splits"] == 3
    assert table.data.tolist() == list(cells["data"])
    assert "Data: real and simulated (simulated rows are marked)." in table.title


def test_the_best_model_is_bold_and_controls_and_the_paper_are_not():
    values = {"PS-KNN": 0.30, "PS-LASSO": 0.3002, "LEAP": 0.2, "Tissue mean": 0.9}
    rows = [("1a", model, level, metric, value, 0.01, 3, "real", np.nan, np.nan)
            for model, value in values.items()
            for level, metric in (("per_perturbation", "spearman"), ("per_perturbation", "mse"))]  # fmt: skip
    columns = ["task", "model", "level", "metric", "mean", "sd", "n_splits", "data", "published_mean", "published_sd"]
    tidy = pd.concat([pd.DataFrame(rows, columns=columns),
                      pd.DataFrame([["2a", "LEAP", *row[2:]] for row in rows[:1]], columns=columns)])  # fmt: skip
    table = print_table("supplementary_table_3", tidy)
    bold = table.bold.set_axis(pd.MultiIndex.from_frame(table.cells[["task", "model"]]))
    assert bold.index[bold["Spearman"]].tolist() == [("1a", "PS-LASSO")]
    assert bold.index[bold["MSE"]].tolist() == [("1a", "LEAP")]  # the lowest
    coarse = print_table("supplementary_table_3", tidy, digits=2)
    assert coarse.bold["Spearman"].tolist() == [True, True, False, False, False]  # ties at the printed decimals
    assert not bold[["task", "model", "splits", "data"]].any(axis=None)


def test_a_step_that_was_not_run_keeps_its_row_and_its_note(printed):
    cells = printed["supplementary_table_4"].cells
    assert cells["step"].tolist() == [1, 2, 3]
    assert cells["note"].tolist() == ["", "", "not run"]
    assert cells["Spearman"].tolist() == ["0.100 (0.014)", "0.200 (0.014)", ""]
    assert printed["supplementary_table_4"].bold["Spearman"].tolist() == [False, True, False]


def test_xenografts_stand_drug_by_drug(printed):
    cells = printed["supplementary_table_7"].cells
    assert cells["drug"].is_monotonic_increasing
    assert cells["model"].tolist() == [*cells["model"][:6]] * 5
    assert cells["model"].iloc[[0, 5]].tolist() == ["Training mean", "LEAP"]
    assert printed["supplementary_table_7"].bold["Spearman"].groupby(cells["drug"]).sum().tolist() == [1] * 5


def test_comparisons_say_who_won(printed):
    row = printed["comparisons"].cells.query("task == '1a' and model == 'PS-KNN'").iloc[0]
    assert re.fullmatch(r"\+0\.\d{3}", row["LEAP - model"])
    assert re.fullmatch(r"0\.\d{3} to 0\.\d{3}", row["95% interval"])
    assert row["splits won"] == "3 of 3"
    assert print_tables.p_value(1e-5) == "< 0.0001"
    assert print_tables.p_value(np.nan) == "" == print_tables.interval(np.nan, np.nan, 3)


def test_counts_stand_beside_the_papers(shared_home, results):
    cells = print_tables.print_table("table_1", results.counts).cells
    assert cells.columns.get_loc("samples, paper") == cells.columns.get_loc("samples") + 1
    assert cells["samples, paper"].tolist() == [1399]
    assert cells["samples"].tolist() == results.counts["samples"].tolist()


# ---- as workbook and LaTeX


@pytest.fixture
def book(printed, home):
    path = workbook.save_workbook(printed.values(), "smoke")
    assert path == home / "figures/smoke/tables/supplementary_tables.xlsx"
    return load_workbook(path)


def test_the_workbook_has_a_sheet_a_table_with_its_title_and_values(book, printed):
    assert book.sheetnames == [workbook.sheet_name(name) for name in printed]
    for name, table in printed.items():
        sheet = book[workbook.sheet_name(name)]
        assert sheet["A1"].value == table.title
        rows = list(sheet.iter_rows(min_row=2, values_only=True))
        assert [str(column).lower() for column in rows[0]] == [column.lower() for column in table.cells]
        assert [["" if v is None else v for v in row] for row in rows[1:]] == table.cells.to_numpy().tolist()
        assert sheet.freeze_panes == "A3" and sheet.print_title_rows == "$1:$2"
        assert sheet.row_dimensions[2].height >= 16 and sheet.page_setup.paperSize == 9
        assert sheet.sheet_properties.pageSetUpPr.fitToPage and sheet.page_setup.fitToHeight == 0
        widths = [sheet.column_dimensions[cell.column_letter].width for cell in sheet[2]]
        longest = table.cells.astype(str).map(len).max().to_numpy()
        assert all(width >= min(length, 60) for width, length in zip(widths, longest, strict=True))


def test_the_workbook_is_bold_where_best_and_shaded_where_simulated(book, printed):
    table, sheet = printed["supplementary_table_3"], book["Supplementary table 3"]
    bold = [[bool(cell.font.b) for cell in row] for row in sheet.iter_rows(min_row=3)]
    assert bold == table.bold.to_numpy().tolist()
    assert any(map(any, bold))
    shaded = [
        {cell.fill.fgColor.rgb[-6:] for cell in row if cell.fill.patternType} for row in sheet.iter_rows(min_row=3)
    ]
    expected = print_tables.SIMULATED.lstrip("#")
    assert shaded == [{expected} if data == "simulated" else set() for data in table.data]


def made_up(**columns):
    cells = pd.DataFrame(columns)
    data = pd.Series(["real"] * len(cells))
    return print_tables.plain("table_1", cells, data)


def test_text_is_text_and_counts_are_numbers_in_the_workbook(home):
    table = made_up(drug=["=1+1", "-x", "5-FU"], pairs=[1234, 5, 6])
    sheet = load_workbook(workbook.save_workbook([table], "smoke"))["Table 1"]
    assert (sheet["A3"].value, sheet["A3"].data_type) == ("=1+1", "s")
    assert (sheet["B3"].value, sheet["B3"].number_format) == (1234, "#,##0")
    with pytest.raises(InputError, match="no table to write"):
        workbook.save_workbook([], "smoke")


def test_latex_escapes_what_is_special():
    assert latex.escape(r"50% & $3_x {a} #1 ~ ^ \ < >") == (
        r"50\% \& \$3\_x \{a\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{} \textgreater{}"
    )
    text = latex.latex(made_up(drug=["A_1 & B", "50% #"], pairs=[1234, 5]))
    assert r"A\_1 \& B & 1,234 \\" in text
    assert r"50\% \# & 5 \\" in text
    assert r"\begin{longtable}{lr}" in text


def test_latex_has_the_structure_of_a_booktabs_longtable(printed, home):
    paths = latex.save_latex(printed.values(), "smoke")
    assert [path.name for path in paths] == [f"{name}.tex" for name in printed]
    for path, table in zip(paths, printed.values(), strict=True):
        text = path.read_text(encoding="utf-8")
        n = table.cells.shape[1]
        columns = re.search(r"\\begin\{longtable\}\{(.+)\}$", text, re.MULTILINE)[1].replace(latex.PARAGRAPH, "p")
        assert len(columns) == n and set(columns) <= set("lrp")
        for begin, end in (("begin{longtable}", "end{longtable}"), ("begingroup", "endgroup")):
            assert text.count("\\" + begin) == text.count("\\" + end) == 1
        marks = [text.index(rule) for rule in (r"\toprule", r"\midrule", r"\endfirsthead", r"\endhead", r"\bottomrule",
                                               r"\endlastfoot")]  # fmt: skip
        assert marks == sorted(marks)
        body = text[text.index(r"\endlastfoot") :].split("\n")[1:-3]
        rows = [line for line in body if line != r"\addlinespace"]
        assert len(rows) == len(table.cells)
        assert all(line.endswith(r" \\") and len(re.findall(r"(?<!\\)&", line)) == n - 1 for line in rows)
        assert text.count("{") == text.count("}")
        assert not re.search(r"(?<!\\)[#_]", text.replace("#1", ""))


def test_latex_breaks_what_is_long():
    text = latex.latex(made_up(claim=["a claim of more letters than a line should have"], paper=["0.1 (0.2)"]))
    assert rf"\begin{{longtable}}{{{latex.PARAGRAPH}r}}" in text
    text = latex.latex(made_up(**{"overall Spearman, paper": ["0.1 (0.2)"]}))
    assert r"\shortstack[r]{\textbf{Overall}\\\textbf{Spearman,}\\\textbf{paper}}" in text


def test_latex_halves_scores_that_are_too_wide():
    score, names = "0.1234 (0.0123)", ["Spearman", "Spearman, paper", "Pearson", "Pearson, paper", "MSE"]
    scores = {f"{level}{name}": [score] for level in ("", "overall ") for name in names}
    cells = {"task": ["1a"], **scores, "note": ["z"]}
    narrow = latex.latex(made_up(**cells))
    assert narrow.count(r"\begin{longtable}") == 1
    halves = latex.latex(made_up(**cells | {"about": ["words, some twenty six"], "more": ["words, some twenty six"]}))
    assert halves.count(r"\begin{longtable}") == 2 and halves.count("usepackage{array") == 1
    first, second = halves.split(r"\end{longtable}")[:2]
    for part, overall in ((first, 0), (second, 5)):
        body = part.partition(r"\endlastfoot")[2]
        assert body.count(score) == 5 and body.count("1a & ") == 1 and body.count(" & z & ") == 1
        assert part.partition(r"\midrule")[0].count(r"\textbf{Overall") == overall
    assert "Per perturbation." in first and "Over all pairs at once." in second
    assert r"\caption{" not in halves  # it would be numbered twice


def test_latex_is_bold_where_best_and_marks_simulated_rows(printed):
    table = printed["supplementary_table_3"]
    body = latex.latex(table).partition(r"\endlastfoot")[2]
    assert body.count(r"\textbf{") == table.bold.to_numpy().sum() > 0
    best = table.cells.loc[table.bold["Spearman"], "Spearman"].iloc[0]
    assert rf"\textbf{{{best}}}" in body
    assert body.count(r"$^\dagger$") == (table.data == "simulated").sum() > 0
    assert "Simulated data" in latex.latex(table)
    assert "dagger" not in latex.latex(printed["supplementary_table_4"])  # all real


def test_notebooks_show_bold_shade_and_colours(printed):
    html = print_tables.styled(printed["supplementary_table_3"]).to_html()
    assert html.count("font-weight: bold") >= 1
    assert print_tables.SIMULATED in html
    coloured = replace(made_up(claim=["a"], verdict=["holds"]), colours=pd.Series(["#CFE8D5"]))
    assert isinstance(coloured, PrintTable)
    assert "#CFE8D5" in print_tables.styled(coloured).to_html()


@pytest.mark.parametrize(("present", "external"), [(["CCLE", "PRISM"], "PRISM"), (["CCLE"], "CCLE")])
def test_the_role_of_a_study_follows_what_is_there(present, external):
    counts = {"step": "records", "tissues": 1, "samples": 2, "perturbations": 3, "pairs": 6}
    drugs = pd.DataFrame([{"branch": study, **counts} for study in ["GDSC v1", *present]])
    tumours = pd.DataFrame([{"branch": "PDX Encyclopedia", **counts}])
    table = tables.supplementary_table_1({"2a": drugs, "5a": tumours}, {"2a": "real", "5a": "real"})
    roles = dict.fromkeys(["GDSC v1", *present], "training") | {external: "external", "PDX Encyclopedia": "test"}
    assert table.set_index("study")["role"].to_dict() == roles
