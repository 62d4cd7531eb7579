from pathlib import Path

import pytest

from leaplib.errors import InputError
from leaplib.sources import gene_sets, read_cgp, read_gmt

from .conftest import World


def test_cgp_is_c2_without_the_canonical_pathways(world: World) -> None:
    assert read_cgp() == {"CGP_UP": ["TP53", "RET"], "CGP_DOWN": ["CALCA"]}


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "own.gmt"
    file.write_text("A\thttp://x\tTP53\tRET\t\r\n\nB\t\tRET\n")
    assert read_gmt(file) == {"A": ["TP53", "RET"], "B": ["RET"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\tnote\n", "line 1 is not name, note, genes"),
        ("A\tn\tX\nA\tn\tY\n", "line 2 repeats the gene set 'A'"),
        ("", "holds no gene set"),
        ("<html>\n", "line 1"),
        ("\tnote\tX\n", "line 1"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.gmt"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_gmt(file)
    assert str(file) in str(error.value)


def test_missing_and_unknown(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_gmt(tmp_path / "none.gmt")
    with pytest.raises(InputError, match=r"'5\.0' is unknown"):
        read_cgp("5.0")
    world.change("cy", {gene_sets.ALL_C2: None})
    with pytest.raises(InputError, match=r"c2\.all.*not in the archive"):
        read_cgp()
