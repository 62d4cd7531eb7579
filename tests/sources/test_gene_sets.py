import json
from pathlib import Path

import pytest

from leaplib.base.errors import InputError
from leaplib.sources import gene_sets, read_cgp, read_collection, read_gene_sets

from .conftest import World

MSIGDB = {
    "SET_B": {"systematicName": "M1", "pmid": "1", "geneSymbols": ["RET", "TP53"], "collection": "C2:CGP"},
    "SET_A": {"geneSymbols": ["CALCA"]},
}


def test_cgp_is_c2_without_the_canonical_pathways(world: World) -> None:
    assert read_cgp() == {"CGP_UP": ["TP53", "RET"], "CGP_DOWN": ["CALCA"]}
    assert read_collection("canonical") == {"PATHWAY": ["RET"]}


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "own.gmt"
    file.write_text("A\thttp://x\tTP53\tRET\t\r\n\nB\t\tRET\n")
    assert read_gene_sets(file) == {"A": ["TP53", "RET"], "B": ["RET"]}


@pytest.mark.parametrize("indent", [None, 2])
def test_json_as_msigdb_publishes_it(tmp_path: Path, indent: int | None) -> None:
    file = tmp_path / "own.txt"  # the name tells nothing
    file.write_text("\n" * (indent or 0) + json.dumps(MSIGDB, indent=indent), encoding="utf-8-sig")
    sets = read_gene_sets(file)
    assert sets == {"SET_B": ["RET", "TP53"], "SET_A": ["CALCA"]} and list(sets) == ["SET_B", "SET_A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(MSIGDB)[:-20], "not JSON, or cut off"),
        ("[" * 100_000, "not JSON, or cut off"),
        ("{}", "holds no gene set"),
        ('["TP53"]', "holds no gene set"),
        ('{"A": ["TP53"]}', "the gene set 'A' has no name or no list of genes"),
        ('{"A": {"geneSymbols": []}}', "the gene set 'A'"),
        ('{"A": {"geneSymbols": "TP53"}}', "the gene set 'A'"),
        ('{"A": {"geneSymbols": [1, 2]}}', "the gene set 'A'"),
        ('{"A": {"geneSymbols": {"x": 1}}}', "the gene set 'A'"),
        ('{"A": {"geneSymbols": ["X"]}, "B": {"genes": ["X"]}}', "the gene set 'B'"),
        ('{"A": {"geneSymbols": ["X"]}, "A": {"geneSymbols": ["Y"]}}', "'A' is there twice"),
        ('{"A": {"geneSymbols": ["1-Mar"]}}', "'1-Mar' is no gene symbol"),
        ("A\tnote\n", "the gene set 'A' has no name or no list"),
        ("A\tn\tX\nA\tn\tY\n", "the gene set 'A' is there twice"),
        ("A\tn\tX\t2023-03-01\n", "'2023-03-01' is no gene symbol"),
        ("A\tn\tX\0\n", "is no gene symbol"),
        ("", "holds no gene set"),
        ("<html>\n", "a web page"),
        ("ModelID;CellLineName\nACH-000001;HL60\n", "has no name or no list of genes"),
        ("\tnote\tX\n", "the gene set ''"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.gmt"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_gene_sets(file)
    assert str(file) in str(error.value) and str(error.value).isprintable()


def test_missing_and_unknown(world: World, tmp_path: Path) -> None:
    (tmp_path / "own.gmt").write_bytes(b"\x1f\x8b\xff\x00")
    for file in (tmp_path / "none.gmt", tmp_path, tmp_path / "own.gmt"):
        with pytest.raises(InputError, match="cannot be read as text"):
            read_gene_sets(file)
    with pytest.raises(InputError, match="'magic' are unknown: use one of hallmark, canonical, oncogenic"):
        read_collection("magic")
    world.change("cy", {gene_sets.ALL_C2: "PATHWAY\tnote\tRET\n"})
    with pytest.raises(InputError, match="nothing but canonical pathways"):
        read_cgp()
    world.change("cy", {gene_sets.ALL_C2: None})
    with pytest.raises(InputError, match=r"c2\.all.*not in the archive"):
        read_cgp()
