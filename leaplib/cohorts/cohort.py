"""Cohort: the one noun that travels from preparation to the models."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.store import is_done, load_frame, provenance, save_frame
from leaplib.tasks import DATA

SAMPLE_COLUMNS = ("tissue", "study", "disease_model")
ABOUT = ("name", "label", "unit", "data", "platform")
FRAMES = ("expression", "response", "samples", "perturbations", "fingerprints")
# Not the ids of other providers: DepMap gives NCI-H322 and its derivative NCI-H322M the same one of Sanger.
LINE_ID = "depmap_id"
UNITS = ("log2(TPM+1)", "z-score")


@dataclass(frozen=True)
class Cohort:
    """Samples with expression and responses, checked when built.

    Parameters
    ----------
    name : str
        Short name, such as "drugs" or "dependencies".
    expression : DataFrame, samples x genes
        Finite values in `unit`.
    response : DataFrame, samples x perturbations
        NaN where a perturbation was not tested in a sample; the unit is `label`.
    samples : DataFrame, one row a sample
        Columns `tissue`, `study`, `disease_model`.
    perturbations : DataFrame, one row a perturbation
        Column `kind` ("gene" or "drug"); drugs also have `smiles`.
    fingerprints : DataFrame, perturbations x bits, optional
        For the pan-perturbation models.
    label : str
        What the response is, e.g. "AAC".
    unit : {"log2(TPM+1)", "z-score"}
        Unit of the expression. Negative values are an error in the first.
    data : str
        One of `leaplib.tasks.DATA`: what every output that rests on this cohort must say.
    platform : str
        How expression was measured, in words for captions.

    Raises
    ------
    InputError
        When ids repeat, two samples are one cell line, frames do not share their index, or values are
        infinite, missing or negative.
    """

    name: str
    expression: pd.DataFrame
    response: pd.DataFrame
    samples: pd.DataFrame
    perturbations: pd.DataFrame
    fingerprints: pd.DataFrame | None = None
    label: str = "response"
    unit: str = "log2(TPM+1)"
    data: str = "real"
    platform: str = "RNA-seq"
    _hash: list[str] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_expression(self.expression, self.unit, self.name)
        for frame, axis, what in (
            (self.response, "index", "sample in the response"),
            (self.samples, "index", "sample in the sample table"),
            (self.response, "columns", "perturbation in the response"),
            (self.perturbations, "index", "perturbation in the perturbation table"),
        ):
            check_unique(getattr(frame, axis), what, self.name)
        self._check_lines()
        self._check_alignment()
        self._check_values()

    def _check_lines(self) -> None:
        """Refuse a cell line that stands under two names: it could be on both sides of a split."""
        known = self.samples[LINE_ID].dropna() if LINE_ID in self.samples else pd.Series(dtype=str)
        repeated = known[known.duplicated(keep=False)]
        if len(repeated):
            same = repeated.index[repeated == repeated.iloc[0]]
            raise InputError(f"{self.name}: samples {same[0]!r} and {same[1]!r} are one cell line ({LINE_ID} "
                             f"{repeated.iloc[0]}): give both the same name")  # fmt: skip

    def _check_alignment(self) -> None:
        lines = self.expression.index
        for frame, what in ((self.response, "response"), (self.samples, "sample table")):
            unknown = frame.index.symmetric_difference(lines)
            if len(unknown):
                raise InputError(f"{self.name}: sample {unknown[0]!r} is not in both expression and {what} "
                                 f"({len(unknown)} such samples): give all frames the same samples")  # fmt: skip
            if not frame.index.equals(lines):
                raise InputError(f"{self.name}: the {what} lists its samples in another order than expression")
        unknown = self.response.columns.difference(self.perturbations.index, sort=False)
        if len(unknown):
            raise InputError(f"{self.name}: the response has an unknown perturbation {unknown[0]!r} ({len(unknown)} "
                             "such): describe it in the perturbation table or drop its column")  # fmt: skip
        for table, what in ((self.perturbations, "perturbation table"), (self.fingerprints, "table of fingerprints")):
            if table is not None and not table.index.equals(self.response.columns):
                raise InputError(f"{self.name}: the {what} must list the response's columns, in their order")

    def _check_values(self) -> None:
        for column in SAMPLE_COLUMNS:
            if column not in self.samples:
                raise InputError(f"{self.name}: the sample table has no column {column!r}: add it")
        if self.data not in DATA:
            raise InputError(f"{self.name}: data is {self.data!r}: it must be one of {', '.join(map(repr, DATA))}")
        infinite = np.isinf(self.response.to_numpy(dtype=float))
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            pair = f"sample {self.response.index[row]!r} to {self.response.columns[column]!r}"
            raise InputError(f"{self.name}: infinite response of {pair}: mend it or set it to missing")

    @property
    def hash(self) -> str:
        """SHA-256 over all values and ids: two cohorts with the same hash give the same results."""
        if not self._hash:
            digest = hashlib.sha256(json.dumps([self.name, self.label, self.unit, self.data]).encode())
            for frame in (getattr(self, name) for name in FRAMES):
                digest.update(b"" if frame is None else hash_frame(frame).encode())
            self._hash.append(digest.hexdigest())
        return self._hash[0]

    @property
    def n_pairs(self) -> int:
        """Number of measured (sample, perturbation) pairs."""
        return int(self.response.notna().to_numpy().sum())

    def subset(self, samples: pd.Index | None = None, perturbations: pd.Index | None = None) -> "Cohort":
        """Return the cohort of some samples and perturbations, in the order given."""
        rows = self.expression.index if samples is None else pd.Index(samples)
        columns = self.response.columns if perturbations is None else pd.Index(perturbations)
        return replace(
            self,
            expression=self.expression.loc[rows],
            response=self.response.loc[rows, columns],
            samples=self.samples.loc[rows],
            perturbations=self.perturbations.loc[columns],
            fingerprints=None if self.fingerprints is None else self.fingerprints.loc[columns],
            _hash=[],
        )

    @property
    def about(self) -> dict[str, Any]:
        """What there is to say of the cohort besides its frames; each saved frame says it."""
        frames = [name for name in FRAMES if getattr(self, name) is not None]
        return {name: getattr(self, name) for name in (*ABOUT, "hash")} | {"frames": frames}

    def save(self, folder: str | Path, about: Mapping[str, Any] | None = None) -> Path:
        """Write the cohort to a folder, one parquet file a frame; each says what the cohort is (`about`)."""
        about = about or self.about
        for name in self.about["frames"]:
            save_frame(getattr(self, name), Path(folder) / f"{name}.parquet", about)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Cohort":
        """Read a cohort that `save` wrote; a file that is damaged or of another cohort is an InputError."""
        folder = Path(folder)
        about = (provenance(folder / f"{FRAMES[0]}.parquet") or {}).get("configuration", {})
        if "frames" not in about:
            raise InputError(f"{folder}: no cohort there: run notebook 01 or `leap run` to prepare the data")
        paths = {name: folder / f"{name}.parquet" for name in about["frames"]}
        for path in paths.values():
            if not is_done(path, about):
                raise InputError(f"{path}: is damaged or of another cohort: delete the folder and prepare again")
        parts: dict[str, Any] = {name: load_frame(path) for name, path in paths.items()}
        return cls(**parts, **{name: about[name] for name in ABOUT}, _hash=[about["hash"]])


def hash_frame(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of a frame's values, index and columns."""
    digest = hashlib.sha256(json.dumps([str(column) for column in frame.columns]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=True).to_numpy().tobytes())
    return digest.hexdigest()


def check_unique(index: pd.Index, what: str, where: str) -> None:
    """Raise an InputError that names the first id standing twice in `index`."""
    repeated = index[index.duplicated()]
    if len(repeated):
        such = f"{what} {repeated[0]!r} stands more than once ({repeated.nunique()} such)"
        raise InputError(f"{where}: {such}: keep one of them")


def check_expression(expression: pd.DataFrame, unit: str, where: str) -> None:
    """Check an expression frame: unique samples and genes, finite, not negative unless z-scored.

    Parameters
    ----------
    expression : DataFrame, samples x genes
    unit : {"log2(TPM+1)", "z-score"}
    where : str
        File or cohort to name in the message.

    Raises
    ------
    InputError
        Naming the sample and the gene.
    """
    if unit not in UNITS:
        raise InputError(f"{where}: expression unit {unit!r} is unknown: use one of {', '.join(UNITS)}")
    check_unique(expression.index, "sample", where)
    check_unique(expression.columns, "gene", where)
    if not expression.size:
        raise InputError(f"{where}: the expression table is empty")
    values = expression.to_numpy(dtype=float)
    bad, what = ~np.isfinite(values), "missing or infinite"
    if unit != "z-score" and not bad.any():
        bad, what = values < 0, "negative"
    if bad.any():
        row, column = np.argwhere(bad)[0]
        cell = f"gene {expression.columns[column]!r} in sample {expression.index[row]!r}"
        raise InputError(f"{where}: {what} expression of {cell}: expected {unit}; mend the value or drop the sample")
