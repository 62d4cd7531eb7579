"""Every reader takes its own file, and refuses every other one and what is no data by name."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from leaplib.base.errors import InputError
from leaplib.sources import depmap, read_gene_sets, read_pdx, read_pset, studies
from leaplib.sources.xenografts import read_pdx_response

from . import test_depmap, test_psets, test_studies, test_xenografts
from .test_studies import HTML

READERS: dict[str, Callable[[Path], object]] = {
    "gdsc": partial(studies.read_gdsc, dataset="GDSC2"),
    "ccle": studies.read_ccle,
    "prism": studies.read_prism,
    "ctrp": studies.read_ctrp,
    "pset": partial(read_pset, study="GDSC v2"),
    "pdx": partial(read_pdx, drugs=test_xenografts.PAIR),
    "models": depmap.read_models,
    "expression": depmap.read_expression,
    "dependency": depmap.read_dependency,
    "effect": depmap.read_effect,
    "gmt": read_gene_sets,
}
ALIKE = {  # more readers of the same file
    "prism": studies.read_prism_smiles,
    "ctrp": studies.read_ctrp_smiles,
    "pdx": partial(read_pdx_response, drugs=test_xenografts.PAIR),
}
NO_DATA = {
    "empty": b"",
    "blank": b"\n\n",
    "page": HTML.encode(),
    "refusal": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "binary": bytes(range(256)) * 20,
    "gzip": b"\x1f\x8b\x08\x00" + bytes(range(200)),
    "json": json.dumps({"error": {"code": 403}}).encode(),
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One sound file a reader, one a kind of no data, and a folder."""
    folder = tmp_path_factory.mktemp("files")
    found = {
        "gdsc": test_studies.gdsc(folder, [test_studies.gdsc_row()]),
        "ccle": test_studies.ccle(folder, test_studies.ccle_row()),
        "prism": test_studies.prism(folder, test_studies.prism_row()),
        "ctrp": test_studies.ctrp(folder),
        "pset": test_psets.write(folder, test_psets.Parts(old=False)),
        "pdx": test_xenografts.workbook(folder, test_xenografts.content()),
        "models": test_depmap.write(folder, test_depmap.models(3).to_csv(index=False), "models.csv"),
        "expression": test_depmap.write(folder, test_depmap.EXPRESSION, "expression.csv"),
        "dependency": test_depmap.write(folder, test_depmap.DEPENDENCY, "dependency.csv"),
        "effect": test_depmap.write(folder, test_depmap.EFFECT, "effect.csv"),
        "gmt": test_studies.write(folder, "sets.gmt", "A\tnote\tTP53\n"),
        "folder": folder,
    }
    return found | {name: test_studies.write(folder, name, data) for name, data in NO_DATA.items()}


@pytest.mark.parametrize("own", list(READERS))
def test_a_reader_takes_its_own_file_alone(files: dict[str, Path], own: str) -> None:
    for read in [READERS[own], *([ALIKE[own]] if own in ALIKE else [])]:
        read(files[own])
        for name in files.keys() - {own}:
            with pytest.raises(InputError) as caught:
                read(files[name])
            text = str(caught.value)
            assert str(files[name]) in text and "\n" not in text, (name, text)
