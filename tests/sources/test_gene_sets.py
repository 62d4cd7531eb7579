import json
from pathlib import Path

import pytest

from leaplib.base.errors import InputError
from leaplib.sources import gene_sets, manifest, read_cgp, read_gene_sets

from .conftest import World


def test_cgp_is_c2_without_the_canonical_pathways(world: World) -> None:
    assert read_cgp() == {"CGP_UP": ["TP53", "RET"], "CGP_DOWN": ["CALCA"]}


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "own.gmt"
    file.write_text("A\thttp://x\tTP53\tRET\t\r\n\nB\t\tRET\n")
    assert read_gene_sets(file) == {"A": ["TP53", "RET"], "B": ["RET"]}


MSIGDB = {
    "SET_B": {"systematicName": "M1", "pmid": "1", "geneSymbols": ["RET", "TP53"], "collection": "C2:CGP"},
    "SET_A": {"geneSymbols": ["CALCA"]},
}


@pytest.mark.parametrize("indent", [None, 2])
def test_json_as_msigdb_publishes_it(tmp_path: Path, indent: int | None) -> None:
    file = tmp_path / "own.txt"  # the name tells nothing
    file.write_text("\n" * (indent or 0) + json.dumps(MSIGDB, indent=indent), encoding="utf-8-sig")
    sets = read_gene_sets(file)
    assert sets == {"SET_B": ["RET", "TP53"], "SET_A": ["CALCA"]} and list(sets) == ["SET_B", "SET_A"]


def test_both_formats_give_the_same(tmp_path: Path) -> None:
    gmt = tmp_path / "own.gmt"
    gmt.write_text("".join("\t".join([name, "note", *entry["geneSymbols"]]) + "\n" for name, entry in MSIGDB.items()))
    assert read_gene_sets(gmt) == gene_sets.parse_msigdb_json(json.dumps(MSIGDB), "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON, or cut off"),
        (json.dumps(MSIGDB)[:-20], "not JSON, or cut off"),
        ("{}", "holds no gene set"),
        ('["TP53"]', "holds no gene set"),
        ('{"A": ["TP53"]}', "the gene set 'A' has no list of symbols 'geneSymbols'"),
        ('{"A": {"geneSymbols": []}}', "the gene set 'A'"),
        ('{"A": {"geneSymbols": "TP53"}}', "the gene set 'A'"),
        ('{"A": {"geneSymbols": [1, 2]}}', "the gene set 'A'"),
        ('{"A": {"geneSymbols": ["X"]}, "B": {"genes": ["X"]}}', "the gene set 'B'"),
        ('{"A": {"geneSymbols": ["X"]}, "A": {"geneSymbols": ["Y"]}}', "'A' is there twice"),
    ],
)
def test_bad_json(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.json"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_gene_sets(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


def test_release_6_2_is_the_file_to_download(world: World) -> None:
    entry = '[[source]]\nname = "msigdb-6.2"\nkind = "manual"\nfile = "own.gmt"\n'
    with open(world.data / manifest.MANIFEST, "a") as handle:
        handle.write(f'{entry}release = "r"\nlicence = "l"\npage = "p"\nenables = ["1a"]\n')
    with pytest.raises(InputError, match=r"own\.gmt is missing from .*msigdb-6\.2"):
        read_cgp("6.2")
    (world.raw / "own.gmt").write_text("A\tnote\tTP53\n")
    assert read_cgp("6.2") == {"A": ["TP53"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\tnote\n", "line 1 is not name, note, genes"),
        ("A\tn\tX\nA\tn\tY\n", "line 2 repeats the gene set 'A'"),
        ("", "holds no gene set"),
        ("<html>\n", "a web page"),
        ("ModelID;CellLineName\nACH-000001;HL60\n", "line 1 is not name, note, genes"),
        ("\tnote\tX\n", "line 1"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.gmt"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_gene_sets(file)
    assert str(file) in str(error.value)


def test_missing_and_unknown(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_gene_sets(tmp_path / "none.gmt")
    (tmp_path / "own.gmt").write_bytes(b"\x1f\x8b\xff\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        read_gene_sets(tmp_path / "own.gmt")
    with pytest.raises(InputError, match=r"'5\.0' is unknown"):
        read_cgp("5.0")
    world.change("cy", {gene_sets.ALL_C2: None})
    with pytest.raises(InputError, match=r"c2\.all.*not in the archive"):
        read_cgp()
