"""The report: whole, escaped, linked, and replaced at once."""

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from leaplib.__main__ import main
from leaplib.base.errors import InputError
from leaplib.report.report import build_report, clean, data_of

EVIL = "<script>alert('drug')</script>"
IMAGE = '<img src=x onerror="alert(1)">'


def png(width=40, height=30, colour="red"):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def shown(data, **extra):
    return new_output("execute_result", data=data, execution_count=1, **extra)


def first_notebook():
    drugs = pd.DataFrame({"drug": [EVIL, IMAGE], "score": [0.5, 0.25]})
    image = {"image/png": base64.b64encode(png()).decode(), "text/plain": "<Figure>"}
    cells = [
        new_markdown_cell(f"# Overview: `what` it is\n\n**Question.** Does **it** work,\nand why?\n\n`01_next` {EVIL}"),
        new_code_cell("profile = 'demo'  # a comment", metadata={"tags": ["parameters"]}),
        new_markdown_cell("## Figure 2: models, and more\n\n[next](01_next.ipynb) [gone](gone.ipynb) "
                          "[doi](https://doi.org/x) [x](javascript:x()) ![p](a.png)"),
        new_code_cell('save("figure_2")', outputs=[shown(image)]),
        new_code_cell("table", outputs=[
            shown({"text/html": drugs.style.hide().to_html(), "text/plain": "x"}),
            shown({"text/html": drugs.to_html(), "text/plain": "x"}),
            new_output("display_data", data={"text/markdown": f"Best: **{EVIL}**", "text/plain": "x"}),
            new_output("display_data", data={"application/javascript": "alert(1)", "text/plain": "a script"}),
            new_output("stream", name="stdout", text=f"fitted {EVIL}\n"),
            shown({"text/plain": f"['{EVIL}']"}),
        ]),
    ]  # fmt: skip
    return new_notebook(cells=cells, metadata={"papermill": {"duration": 87.4, "exception": None}})


def second_notebook():
    failure = new_output("error", ename="ValueError", evalue=EVIL, traceback=[f"ValueError: {EVIL}"])
    mark = new_markdown_cell('<span id="papermill-error-cell">stopped</span>')
    mark.metadata["tags"] = ["papermill-error-cell-tag"]
    wide = shown({"text/html": pd.DataFrame([range(60)]).to_html(), "text/plain": "wide" * 200})
    table = "|" + "wide column|" * 30 + "\n|" + "-|" * 30 + "\n|" + "x|" * 30
    cells = [new_markdown_cell(f"# Next\n\n{table}"), mark, new_code_cell("wide" * 200, outputs=[wide, failure])]
    return new_notebook(cells=cells, metadata={"papermill": {"duration": 21.0, "exception": True}})


def write_figure(folder, name, frame):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(png(480, 960))
    (folder / f"{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'></svg>")
    (folder / f"{name}.pdf").write_bytes(b"%PDF-1.4")
    frame.to_csv(folder / f"{name}.csv", index=False)


def claims():
    rows = [
        ["LEAP above PP-LGBM", "Results", 0.16, 0.15, -0.01, "real", "holds"],
        [f"the best drug is {EVIL}", "Results", 0.3, 0.1, -0.2, "real", "does not hold"],
        ["on genes too", "Discussion", 0.3, 0.3, 0.0, "simulated", "not testable here"],
        ["and in mice", "Discussion", 0.3, 0.4, 0.1, "simulated", "not testable here"],
    ]
    return pd.DataFrame(rows, columns=["claim", "section", "published", "ours", "difference", "data", "verdict"])


def leave_behind(home):
    """Write what a run of the smoke profile leaves behind, small and with hostile names."""
    executed, figures, tables = home / "notebooks/executed/smoke", home / "figures/smoke", home / "figures/smoke/tables"
    executed.mkdir(parents=True)
    nbformat.write(first_notebook(), executed / "00_overview.ipynb")
    nbformat.write(second_notebook(), executed / "01_next.ipynb")
    write_figure(figures, "supplementary_figure_10", pd.DataFrame({"data": ["real"], "value": [1.0]}))
    write_figure(figures, "supplementary_figure_9", pd.DataFrame({"data": ["real", "simulated"], "value": [1.0, 2.0]}))
    write_figure(figures, "figure_2", pd.DataFrame({"data": ["simulated"], "drug": [EVIL]}))
    write_figure(figures, "damae_codes", pd.DataFrame({"x": [1], "data": "simulated"}))
    tables.mkdir()
    for kind in ("xlsx", "tex"):
        (tables / f"supplementary_tables.{kind}").write_bytes(b"x")
    pd.DataFrame({EVIL: [EVIL, "NA"], "n": [1019, np.nan]}).to_csv(tables / "odd <name> & 100%.csv", index=False)
    claims().to_csv(tables / "claims.csv", index=False)
    log = home / "data/results/smoke/run_log.jsonl"
    log.parent.mkdir(parents=True)
    entry = {"job": "fit", "kind": "fit", "task": "2a", "split": "holdout-0", "model": EVIL, "seconds": 2.0}
    log.write_text(json.dumps(entry) + "\n" + '{"task": "2a", "spl')
    return home


@pytest.fixture
def run(home):
    return leave_behind(home)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The home of a run and its report, for tests that only read."""
    home = leave_behind(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(home))
        patch.delenv("LEAP_DATA", raising=False)
        return home, build_report("smoke").parent


@pytest.fixture
def built(finished):
    return finished[1]


def page_of(folder, name):
    return BeautifulSoup((folder / name).read_text(encoding="utf-8"), "html.parser")


def soups(folder):
    return {path: page_of(folder, path) for path in folder.rglob("*.html")}


def index(folder):
    return page_of(folder, "index.html")


def addresses(soup):
    return [(tag.name, tag[key]) for tag in soup.find_all(True) for key in ("href", "src") if tag.has_attr(key)]


def test_every_link_and_image_resolves_and_nothing_comes_from_the_network(built):
    pages = soups(built)
    assert len(pages) == 1 + 2 + 2
    for path, soup in pages.items():
        for name, address in addresses(soup):
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme:
                assert (name, parts.scheme) == ("a", "https"), (path, address)
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file() and target.is_relative_to(built), (path, address)
            if parts.fragment:
                assert pages[target].find(id=parts.fragment), (path, address)
        assert not soup.find_all(["iframe", "object", "embed", "base", "script"])
        assert "url(" not in str(soup) and "@import" not in str(soup)
        assert soup.find("meta", attrs={"name": "viewport"})["content"] == "width=device-width, initial-scale=1"
    assert not re.search(r"url\(|@import|http", (built / "style.css").read_text())


def test_what_comes_from_data_is_text(built):
    found = {}
    for path, soup in soups(built).items():
        assert not [tag for tag in soup.find_all(True) if any(name.startswith("on") for name in tag.attrs)]
        assert not soup.find_all("img", src="x")
        found[path.relative_to(built).as_posix()] = soup.get_text().count(EVIL)
    assert found == {
        "index.html": 2,  # a claim and a model of the run log
        "notebooks/00_overview.html": 6,  # prose, two tables, Markdown, stream, plain text
        "notebooks/01_next.html": 1,
        "tables/odd <name> & 100%.html": 2,
        "tables/claims.html": 1,
    }


def test_cleaning_keeps_tables_and_links_to_pages_and_the_web_alone():
    text = (
        '<a href="javascript:x()">a</a><a href="https://c.d">c</a><table id="T_1"><tr><td class="x">1</td></tr></table>'
    )
    soup = BeautifulSoup(clean(text), "html.parser")
    assert [a.get("href") for a in soup.find_all("a")] == [None, "https://c.d"]
    assert soup.find(id="T_1").td["class"] == ["x"]


@pytest.mark.parametrize("rule", ["background: url(https://a.b/c)", "background: u\\72l(//a.b)", "} @import 'x'; {"])
def test_colours_of_tables_stay_and_style_sheets_that_load_something_go(run, rule):
    coloured = pd.DataFrame({"verdict": ["holds"]}).style.map(lambda value: "background-color: #dcf3e5").to_html()
    hostile = f"<style>#T_a td {{ {rule} }}</style><table></table>"
    outputs = [shown({"text/html": coloured}), shown({"text/html": hostile})]
    notebook = new_notebook(cells=[new_markdown_cell("# T"), new_code_cell("t", outputs=outputs)])
    nbformat.write(notebook, run / "notebooks/executed/smoke/02_t.ipynb")
    page = page_of(build_report("smoke").parent, "notebooks/02_t.html")
    sheet = page.head.style.get_text()
    assert "background-color: #dcf3e5" in sheet and "#T_a td" not in sheet
    assert page.find(id=re.search(r"#(T_\w+_row0_col0)", sheet)[1]).get_text() == "holds"


def test_a_notebook_page_shows_text_and_outputs_and_folds_the_code(built):
    soup = page_of(built, "notebooks/00_overview.html")
    parts = soup.find_all("details", class_="code")
    code = [part.pre.get_text().strip() for part in parts]
    assert code == ["profile = 'demo'  # a comment", 'save("figure_2")', "table"]
    assert all(part.summary.get_text() == "show code" and not part.has_attr("open") for part in parts)
    assert soup.h1.get_text() == "Overview: what it is"
    assert base64.b64decode(soup.select_one("article img")["src"].partition(",")[2]) == png()
    hrefs = [a["href"] for a in soup.select("article a") if a.has_attr("href")]
    assert hrefs == ["01_next.html", "01_next.html", "https://doi.org/x"]
    assert "0:01:27" in soup.select_one(".meta").get_text()
    assert "a script" in soup.get_text()  # the text beside a script that is not run


def test_a_notebook_that_stopped_says_so(built):
    card = index(built).find_all("li", class_="card")[1]
    assert card.select_one(".badge.bad").get_text() == "stopped"
    page = page_of(built, "notebooks/01_next.html")
    assert "leap run --profile smoke --notebooks 01" in page.select_one(".absent").get_text()
    assert f"ValueError: {EVIL}" in page.get_text()


def test_the_index_has_notebooks_figures_and_tables_in_order_with_all_files(finished):
    home, built = finished
    cards = index(built).select(".notebooks .card")
    assert [card.h3.get_text() for card in cards] == ["Overview: what it is", "Next"]
    assert "Does it work, and why?" in cards[0].get_text() and "0:01:27" in cards[0].get_text()
    cards = index(built).select(".figures .card")
    titles = [card.h3.contents[0].strip() for card in cards]
    assert titles == ["Figure 2", "Supplementary figure 9", "Supplementary figure 10", "DAMAE codes"]
    badges = [card.select_one(".badge").get_text() if card.select_one(".badge") else "" for card in cards]
    assert badges == ["simulated data", "partly simulated data", "", "simulated data"]
    files = {a.get_text(): built / a["href"] for a in cards[0].select(".files a")}
    assert set(files) == {"PDF", "SVG", "PNG", "CSV"}
    for kind, path in files.items():
        assert path.read_bytes() == (home / f"figures/smoke/figure_2.{kind.lower()}").read_bytes()
    rows = {row.b.get_text(): row for row in index(built).select(".rows li")}
    assert list(rows) == ["Claims", "Odd <name> & 100%", "Supplementary tables"]
    assert [a.get_text() for a in rows["Supplementary tables"].select(".files a")] == ["TEX", "XLSX"]
    assert rows["Supplementary tables"].b.a is None  # a workbook has no page
    claimed = index(built).find(id="claims").find_next("p").get_text()
    assert "1 holds" in claimed and "1 does not hold" in claimed and "2 not testable here" in claimed
    assert "leap data fetch" in index(built).get_text() and np.__version__ in index(built).get_text()


def test_pages_follow_each_other(built):
    seen, path = [], built / "index.html"
    while path:
        soup = soups(built)[path]
        before = soup.find("a", rel="prev")
        assert (before is None) == (not seen)
        if before:
            assert (path.parent / unquote(before["href"])).resolve() == seen[-1]
        assert (path.parent / soup.select_one("a.home")["href"]).resolve() == built / "index.html"
        seen.append(path)
        after = soup.find("a", rel="next")
        path = (path.parent / unquote(after["href"])).resolve() if after else None
    assert seen[:3] == [built / "index.html", built / "notebooks/00_overview.html", built / "notebooks/01_next.html"]
    assert sorted(seen) == sorted(soups(built))


def test_a_long_table_is_cut_and_says_so(run):
    path = run / "figures/smoke/tables/claims.csv"
    pd.DataFrame({"n": range(2500)}).to_csv(path, index=False)
    text = soups(build_report("smoke").parent)[run / "report/smoke/tables/claims.html"]
    assert len(text.tbody.find_all("tr")) == 2000
    assert "2,500 rows" in text.get_text() and "The first 2,000 rows" in text.get_text()


@pytest.mark.parametrize(
    ("values", "badge"),
    [(["real"], ""), (["simulated"], "simulated"), (["real", "simulated"], "partly simulated"),
     (["mixed"], "partly simulated"), ([None, "none"], "")],
)  # fmt: skip
def test_badges(values, badge):
    assert data_of(pd.DataFrame({"data": values})) == badge
    assert data_of(pd.DataFrame({"x": values})) == ""


def test_a_new_report_replaces_an_older_one_whole(run):
    built = build_report("smoke").parent
    (built / "tables/stale.html").write_text("old")
    assert build_report("smoke").parent == built
    assert not (built / "tables/stale.html").exists()
    assert [path.name for path in built.parent.iterdir()] == ["smoke"]


def test_what_a_killed_build_left_is_no_obstacle_and_goes(run):
    target = build_report("smoke").parent
    gone = subprocess.Popen(["true"])  # its number is nobody's once it has ended
    gone.wait()
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    for name in (f".smoke.{host}~{gone.pid}~0123abcd.part", f".smoke.{host}~{gone.pid}~0123abcd.old"):
        (target.parent / name).mkdir()
        (target.parent / name / "half").touch()
    alive = target.parent / f".smoke.{host}~{os.getpid()}~0123abcd.part"
    elsewhere = target.parent / f".smoke.elsewhere~{gone.pid}~0123abcd.part"
    for folder in (alive, elsewhere):
        folder.mkdir()
    build_report("smoke")
    assert sorted(path.name for path in target.parent.iterdir()) == sorted([alive.name, elsewhere.name, "smoke"])


def test_the_command_prints_the_first_page_or_what_is_missing(home, capsys):
    for profile, told in (("smoke", r"nothing to report.*leap run --profile smoke"), ("huge", "huge")):
        assert main(["report", "--profile", profile]) == 2
        assert re.fullmatch(rf"leap: [^\n]*{told}[^\n]*\n", capsys.readouterr().err)
    assert not list(home.iterdir())
    leave_behind(home)
    for options, folder in (([], home / "report/smoke"), (["--out", str(home / "new")], home / "new")):
        assert main(["report", "--profile", "smoke", *options]) == 0
        assert capsys.readouterr().out == f"{folder / 'index.html'}\n"


def test_another_folder_is_never_emptied(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    assert build_report("smoke", folder) == folder / "index.html"
    assert build_report("smoke", folder).is_file()
    (folder / "index.html").write_text("my own page")
    with pytest.raises(InputError, match="holds other things than a report: choose another folder with --out"):
        build_report("smoke", folder)
    assert (folder / "index.html").read_text() == "my own page"
    for out in (run, run / "figures"):
        with pytest.raises(InputError, match="holds other things"):
            build_report("smoke", out)
    with pytest.raises(InputError, match=r"index\.html: a file, not a folder"):
        build_report("smoke", folder / "index.html" / "deeper")


@pytest.mark.parametrize(("gone", "section"), [
    ("notebooks/executed", "notebooks"), ("figures/smoke/tables", "tables"), ("figures", "figures"), ("data", "times"),
    ("figures/smoke/tables/claims.csv", "claims"),
])  # fmt: skip
def test_a_missing_part_is_named_with_its_command(run, gone, section):
    path = run / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    note = index(build_report("smoke").parent).find(id=section).find_next(class_="absent").get_text(" ")
    assert "not there" in note and "leap run --profile smoke" in note


@pytest.mark.parametrize(
    ("file", "content", "mend"),
    [
        ("notebooks/executed/smoke/01_next.ipynb", "{", "leap run --profile smoke --notebooks 01"),
        ("notebooks/executed/smoke/01_next.ipynb", '{"cells": 3}', "leap run --profile smoke --notebooks 01"),
        ("figures/smoke/figure_2.csv", "", "run its notebook again"),
        ("figures/smoke/tables/claims.csv", 'a,b\n"1,2\n3', "run its notebook again"),
    ],
)
def test_a_damaged_file_is_named(run, file, content, mend, capsys):
    (run / file).write_text(content)
    assert main(["report", "--profile", "smoke"]) == 2
    error = capsys.readouterr().err
    assert str(run / file) in error and mend in error and error.count("\n") == 1
    assert not (run / "report/smoke").exists()
