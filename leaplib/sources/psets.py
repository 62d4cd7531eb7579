"""PharmacoSets (PSets): drug studies as PharmacoGx curates them, one .rds file of R for each study.

https://doi.org/10.1093/bioinformatics/btv723; the files are published by ORCESTRA. Their curves are fitted anew in one
way for all studies, and lines and drugs bear one name in all of them ("NCI-H2029"), which a study's own table does not.

A PSet is an S4 object. Two generations of names are read: the slots sample, treatment and treatmentResponse with
the columns sampleid and treatmentid (since 2022), and cell, drug and sensitivity with cellid and drugid. The
published files could not be tried: the reader is written after the documented classes, and tested on small files of
both generations that the tests write.

`rdata` parses the file into R's records and evaluates nothing; functions, calls and environments stay inert. Its
conversion is used for vectors alone: of the whole object it would convert raw measurements of some gigabytes too, and
stop at data frames with columns that it does not know. Its unpacking, which knows no bounds, is not used.
"""

import bz2
import gzip
import io
import lzma
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leaplib.sources.genes import gene_name
from leaplib.sources.screens import Study
from leaplib.sources.tabular import CHUNK, FORMATS, Place, check_columns, check_file, numbers, refusing_damage

if TYPE_CHECKING:
    from rdata.parser import RObject

STUDIES = FORMATS["studies"]
LINE_IDS, DRUG_IDS = ("sampleid", "cellid"), ("treatmentid", "drugid")
AAC = "aac_recomputed"
PERCENT_SHARE = 0.1  # of the values lie above 1 in percent: in published screens most do, as fractions none
ROUNDING = 0.01  # how far beyond 0 and 1 a fitted area may lie
MIXTURE = re.compile(r"///|mol/mol", re.IGNORECASE)  # two drugs given together
SMILES = re.compile(r"(?:.*[._])?smiles", re.IGNORECASE)
RNASEQ = "Kallisto_0.46.1.rnaseq"
SYMBOLS = ("gene_name", "Symbol")
PSEUDOCOUNT = 0.001  # PharmacoGx takes log2(TPM + 0.001)
MAX_LOG_TPM = 20  # TPM add up to a million: log2(1e6) is 19.93
NUMBERS = ("REAL", "INT", "LGL")
PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
BINARY = b"X\n"  # how all files begin that saveRDS writes unless it is asked for text


def read_rds(place: Place) -> "Node":
    """Return the object of an .rds file; nothing in it is executed.

    The file is unpacked in memory, up to what the manifest allows. Numbers take their size twice; each cell of text
    takes some 500 bytes and 10 microseconds (measured on a written file), so that a study of several 100,000
    experiments takes gigabytes and minutes.
    """
    check_file(place)
    from rdata.parser import DEFAULT_ALTREP_MAP, parse_data  # slow to load

    left = place.limit

    def bounded(make: Callable) -> Callable:
        """Bound a vector such as 1:n, of which the file states n alone."""

        def checked(state: "RObject") -> Any:
            nonlocal left
            left -= 8 * int(abs(state.value[0]))
            if left < 0:
                raise ValueError("compact vectors longer than the manifest allows")
            return make(state)

        return checked

    makers = {name: bounded(make) if name.startswith(b"compact") else make for name, make in DEFAULT_ALTREP_MAP.items()}
    with refusing_damage(place, "no .rds file of R that can be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts that rdata leaves out are no loss here
        data = _unpacked(place.path.read_bytes(), place.limit)
        if not data.startswith(BINARY):
            raise ValueError("not R's binary format")
        return Node(parse_data(data, altrep_constructor_dict=makers).object, place)


def _unpacked(data: bytes, limit: int) -> bytes:
    """Return data as they were before gzip, bzip2 or xz packed them."""
    unpack = next((unpack for start, unpack in PACKED.items() if data.startswith(start)), None)
    if unpack is None:
        return data
    found = bytearray()
    with unpack(io.BytesIO(data)) as handle:
        while piece := handle.read(CHUNK):
            found += piece
            if len(found) > limit:
                raise ValueError(f"it unpacks to more than the {limit:,} bytes that are expected")
    return bytes(found)


def _converted(raw: "RObject") -> Any:
    """Return a vector as `rdata` gives it."""
    from rdata.conversion import SimpleConverter

    return SimpleConverter(default_encoding="utf-8").convert(raw)


def _pairs(raw: "RObject | None") -> Iterator[tuple[str, "RObject"]]:
    """Yield the named elements of a pair list."""
    while raw is not None and raw.info.type.name == "LIST":
        if raw.tag is not None:
            yield _converted(raw.tag.referenced_object or raw.tag), raw.value[0]
        raw = raw.value[1]


@dataclass(frozen=True)
class Node:
    """An R object and where it lies.

    Parameters
    ----------
    raw : RObject
        As `rdata` parses it.
    place : Place
        The file; its part is the way to the object ("sensitivity$info").
    """

    raw: "RObject"
    place: Place

    @property
    def kind(self) -> str:
        """R's type: "S4", "VEC" (a list), "REAL", "STR" ..."""
        return self.raw.info.type.name

    @property
    def classes(self) -> tuple[str, ...]:
        """What R's class() says, empty for plain vectors and lists."""
        return tuple(map(str, _converted(self._attributes["class"]))) if "class" in self._attributes else ()

    @cached_property
    def _attributes(self) -> dict[str, "RObject"]:
        return dict(_pairs(self.raw.attributes))

    @cached_property
    def members(self) -> dict[str, "RObject"]:
        """The slots of an S4 object, the named elements of a list or of an environment."""
        if self.kind == "S4":
            return self._attributes
        if self.kind == "ENV":
            tables = self.raw.value.hash_table
            buckets = tables.value if tables.info.type.name == "VEC" else []
            return dict(pair for pairs in [self.raw.value.frame, *buckets] for pair in _pairs(pairs))
        if self.kind == "VEC" and "names" in self._attributes:
            return dict(zip(map(str, _converted(self._attributes["names"])), self.raw.value, strict=True))
        return dict(_pairs(self.raw))

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def child(self, *names: str) -> "Node":
        """Return the first of these members that is there; none of them is an InputError that lists what is."""
        for name in names:
            if name in self.members:
                raw = self.members[name]
                part = f"{self.place.part}${name}" if self.place.part else name
                return Node(raw.referenced_object or raw, self.place.within(part))
        has = ", ".join(self.members) or "nothing"
        raise self.place.error(f"lacks {' or '.join(map(repr, names))}: has {has[:300]}")

    def vector(self) -> np.ndarray:
        """Return numbers as float, text and factors as objects; R's NA is None or NaN."""
        if self.kind not in ("STR", *NUMBERS):
            raise self.place.error(f"is no vector of text or numbers ({self.kind})")
        found = _converted(self.raw)
        if self.kind == "STR" or isinstance(found, pd.Categorical):
            return np.asarray(found, dtype=object)
        return np.ma.filled(np.ma.asarray(found, dtype=float), np.nan)

    def matrix(self) -> np.ndarray:
        """Return a matrix of numbers, rows x columns."""
        if self.kind not in NUMBERS or self.vector().ndim != 2:
            raise self.place.error("is no matrix of numbers")
        return self.vector()

    def table(self, *choices: Sequence[str]) -> pd.DataFrame:
        """Return columns of a data.frame or of Bioconductor's DataFrame: of each choice the first that is there.

        Without choices all columns of text and numbers. The index holds the row names, or counts from 1.
        """
        data = self.child("listData") if "listData" in self else self
        if data is self and "data.frame" not in self.classes:
            raise self.place.error(f"is no data frame but {' '.join(self.classes) or self.kind}")
        columns = [next((name for name in names if name in data), names[0]) for names in choices]
        columns = columns or [name for name in data.members if data.child(name).kind in ("STR", *NUMBERS)]
        check_columns(list(data.members), columns, self.place)
        values = {column: data.child(column).vector() for column in columns}
        index = self._row_names(len(next(iter(values.values()), ())))
        for column, value in values.items():
            if len(value) != len(index):
                raise self.place.error(f"column {column!r} has {len(value)} values for {len(index)} rows")
        return pd.DataFrame(values, index=index)

    def _row_names(self, n: int) -> pd.Index:
        """Return the names of `n` rows; unnamed rows are counted, in a data.frame R writes NA, -n for them."""
        if "row.names" not in self._attributes and "rownames" not in self:
            raise self.place.error("has no row names")
        names = self.child("rownames") if "rownames" in self else Node(self._attributes["row.names"], self.place)
        values = self.child("nrows").vector() if names.kind == "NILVALUE" else names.vector()
        if names.kind == "STR" or (names.kind != "NILVALUE" and not (len(values) == 2 and np.isnan(values[0]))):
            return pd.Index(values if names.kind == "STR" else values.astype(int)).astype(str)
        stated = int(abs(values[-1]))
        if stated != n:  # a wrong number of rows is not believed, however large
            raise self.place.error(f"a column has {n} values for {stated} rows")
        return pd.RangeIndex(1, n + 1).astype(str)


def read_pset(path: str | Path, study: str) -> Study:
    """Read a PSet.

    The file is unpacked in memory as a whole. Nothing in it is executed.

    Parameters
    ----------
    path : str or Path
        GDSC1.rds, GDSC2.rds, CCLE.rds, CTRPv2.rds or PRISM.rds.
    study : {"GDSC v2", "GDSC v1", "CCLE", "CTRP", "PRISM"}
        Which study it shall be; the name in the file must fit.

    Returns
    -------
    Study
        aac is the area above the curve that PharmacoGx fitted (aac_recomputed), as a share of the largest possible
        one. Files state it as a fraction or in percent; which one shows in the values. Experiments without an area
        (left out as noisy), line or drug, and mixtures of drugs, are left out. Of several structures of a drug the
        first one counts. Expression is that of Kallisto, given as log2(TPM + 0.001): the mean over a line's runs, and
        of genes with the same symbol (copies on other contigs, mostly silent) the one with the highest mean over lines.
    """
    source, wanted = STUDIES[study]["pset"], STUDIES[study]["name"]
    pset = read_rds(Place(Path(path), source))
    with refusing_damage(pset.place, "no PharmacoSet that can be read"):
        if "PharmacoSet" not in pset.classes:
            raise pset.place.error(f"holds no PharmacoSet but an object of R's {' '.join(pset.classes) or pset.kind}")
        name = pset.child("annotation").child("name")
        found = str(name.vector()[0]) if len(name.vector()) else ""
        if not re.fullmatch(wanted, found):
            raise name.place.error(f"the PSet is {found!r}, not that of {study}")
        return Study(_responses(pset, study), _smiles(pset), _expression(pset))


def _listed(node: Node, what: str) -> Node:
    """Refuse what a later generation holds in place of a list."""
    if node.kind == "S4":
        raise node.place.error(f"is a {' '.join(node.classes)}, not the list of {what} that is read here")
    return node


def _responses(pset: Node, study: str) -> pd.DataFrame:
    """Return the responses with their canonical columns."""
    experiments = _listed(pset.child("treatmentResponse", "sensitivity"), "info and profiles")
    info, profiles = experiments.child("info"), experiments.child("profiles")
    ids = _unique(info.table(LINE_IDS, DRUG_IDS).astype("str").set_axis(["line", "drug"], axis=1), info.place)
    areas = _unique(profiles.table([AAC]), profiles.place)
    if set(areas.index) != set(ids.index):
        raise profiles.place.error("its rows are not the experiments of info")
    frame = ids.assign(study=study).join(areas.astype(object)).dropna()
    frame = frame[~frame["drug"].str.contains(MIXTURE)]
    if frame.empty:
        raise profiles.place.error(f"no experiment has a line, a drug and a number in {AAC!r}")
    percent = (numbers(frame, AAC, profiles.place) > 1 + ROUNDING).mean() >= PERCENT_SHARE
    top = 100 if percent else 1
    area = numbers(frame, AAC, profiles.place, -ROUNDING * top, (1 + ROUNDING) * top)
    frame["aac"] = (area / top).clip(0, 1)
    return frame[["study", "line", "drug", "aac"]].reset_index(drop=True)


def _unique(table: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return a table whose rows have names of their own; refuse another."""
    if table.index.has_duplicates:
        raise place.error(f"the row {table.index[table.index.duplicated()][0]!r} is there twice")
    return table


def _smiles(pset: Node) -> pd.Series:
    """Return SMILES by drug, where known."""
    node = pset.child("treatment", "drug")
    table = _unique(node.table(), node.place)
    column = min((name for name in table.columns if SMILES.fullmatch(name)), key=len, default=None)
    known = table[column].astype("str") if column else pd.Series(index=table.index, dtype="str")
    first = known.str.replace(r"(///|,).*", "", regex=True).str.strip().replace("", None)
    return first.dropna().rename("smiles").rename_axis("drug")


def _expression(pset: Node) -> pd.DataFrame | None:
    """Return log2(TPM + 1), lines x genes, where there is RNA-seq."""
    profiles = _listed(pset.child("molecularProfiles"), "molecular profiles")
    if RNASEQ not in profiles:
        return None
    assay, genes, runs = _experiment(profiles.child(RNASEQ))
    values = assay.matrix()
    if values.shape != (len(genes), len(runs)):
        raise assay.place.error(f"has {values.shape} genes and runs, and its tables describe {len(genes), len(runs)}")
    low = np.log2(PSEUDOCOUNT) - ROUNDING
    if values.size and not ((values >= low) & (values <= MAX_LOG_TPM)).all():
        rule = f"log2(TPM + {PSEUDOCOUNT}) lies between {low:.2f} and {MAX_LOG_TPM}"
        raise assay.place.error(f"{rule}, and not all of it does")
    if not (values < 0).any():
        raise assay.place.error(f"no value is below 0: this is not log2(TPM + {PSEUDOCOUNT})")
    logs = np.log2(np.maximum(np.exp2(values) - PSEUDOCOUNT, 0) + 1)
    frame = pd.DataFrame(logs.T, index=pd.Index(runs, name="line"), columns=pd.Index(genes, name="gene"))
    frame = frame.loc[:, frame.columns.notna() & (frame.columns != "")].rename(columns=gene_name)
    means = frame.groupby(level="line").mean()  # runs of no known line are left out
    # Of genes with one symbol that with the highest mean, the first of equals, in the order of the file.
    order = np.argsort(-means.mean().to_numpy(), kind="stable")
    kept = order[~means.columns[order].duplicated()]
    return means.iloc[:, np.sort(kept)].astype(np.float32)


def _experiment(node: Node) -> tuple[Node, pd.Series, pd.Series]:
    """Return values, symbols and lines of a SummarizedExperiment or of an ExpressionSet, its predecessor."""
    if "assayData" in node:
        values = node.child("assayData")
        genes, runs = node.child("featureData").child("data"), node.child("phenoData").child("data")
    else:
        holder = node.child("assays")
        # Until 2020 the assays were an object with an environment.
        values = (holder.child(".xData") if ".xData" in holder else holder).child("data").child("listData")
        genes, runs = node.child("elementMetadata"), node.child("colData")
    symbols, lines = genes.table(SYMBOLS), runs.table(LINE_IDS)
    return values.child("exprs"), symbols.astype("str").iloc[:, 0], lines.astype("str").iloc[:, 0]
