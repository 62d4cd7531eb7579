"""One normaliser of gene names: for files of providers, gene sets, models and users' tables.

What is understood, and what is no gene, stands in `genes.toml`. A name that no rule fits stays as it is.
"""

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError

RULES = tomllib.loads(Path(__file__).with_name("genes.toml").read_text(encoding="utf-8"))
WITH_ID = [re.compile(form) for form in RULES["with_id"]]
SPELLINGS = [(re.compile(pattern), new) for pattern, new in RULES["spellings"]]
PLAIN, HYPHENS, COUNTERS, NUMBER, SERIAL = (
    re.compile(RULES[name]) for name in ("plain", "hyphens", "counters", "number", "serial")
)
MONTHS, DATES = frozenset(RULES["months"].split()), [re.compile(form) for form in RULES["dates"]]
SHOWN = 3


class Genes(NamedTuple):
    """The genes among the columns of a table.

    Parameters
    ----------
    names : Index
        The one form of each name.
    at : array of int
        The position of each gene among the columns.
    notes : list of str
        What was renamed and left out, counted, for the user.
    """

    names: pd.Index
    at: np.ndarray
    notes: list[str]


def split_id(name: str) -> tuple[str, str]:
    """Return a gene's name without the Entrez or Ensembl id beside it, and the id, empty without one."""
    found = None if PLAIN.fullmatch(name) else next(filter(None, (form.fullmatch(name) for form in WITH_ID)), None)
    return (found["symbol"], found["id"] or "nan") if found else (name, "")


@cache
def gene_name(name: str) -> str:
    """Return the one form of a gene's name: "HLA.A", "SEPT9" and "TP53|7157" give "HLA-A", "SEPTIN9" and "TP53"."""
    if PLAIN.fullmatch(name):
        return name
    symbol, _ = split_id(name.strip())
    if HYPHENS.fullmatch(symbol):
        symbol = symbol.replace(".", "-")
    for pattern, new in SPELLINGS:
        symbol = pattern.sub(new, symbol)
    return symbol


@cache
def no_gene(name: str) -> str:
    """Say what stands in place of a gene: a date or a number; empty for a name."""
    if PLAIN.fullmatch(name):
        return ""
    text = unicodedata.normalize("NFKD", name.strip().casefold())
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = unicodedata.normalize("NFC", text)
    for form in DATES:
        found = form.fullmatch(text)
        if found and (found.groupdict().get("month") or "mar") in MONTHS:
            return "a date"
    if SERIAL.fullmatch(name):
        return "the serial number of a date"
    return "a number" if NUMBER.fullmatch(name) else ""


def name_genes(columns: Iterable[object], where: object, known: Collection[str] = ()) -> Genes:
    """Find the genes among columns and bring their names to one form.

    Parameters
    ----------
    columns : iterable of str
    where : str or Place
        File to name in messages.
    known : collection of str, optional
        Names that a model knows, whatever they are: columns take their spelling.

    Returns
    -------
    Genes
        Counters and spike-ins are left out. Of columns whose names differ in their ids alone, as `TP53 (7157)`, the
        one with the lowest number stays: the oldest entry, which a symbol is known for.

    Raises
    ------
    InputError
        When a column is named by a date or a number, most columns are named by something else than symbols, or two
        columns are one gene; names them and says what to do.
    """
    raw = [str(column).strip() for column in columns]
    exact, spelled = set(known), {gene_name(name): name for name in known}
    names = [name if name in exact else spelled.get(gene_name(name), gene_name(name)) for name in raw]
    holders: dict[str, list[int]] = defaultdict(list)
    for at, name in enumerate(names):
        if not COUNTERS.fullmatch(raw[at]):
            holders[name].append(at)
    _refuse_others([raw[at] for name, ats in holders.items() for at in ats if name not in exact], len(raw), where)
    first = {name: _oldest(name, ats, raw, where) for name, ats in holders.items()}
    kept = sorted(first.values())
    found: dict[str, list[str]] = {
        "genes were given their usual names": [
            f"{raw[at]} to {names[at]}" for at in kept if names[at] not in (raw[at], split_id(raw[at])[0])
        ],
        "columns are no genes and are left out": [name for name in raw if COUNTERS.fullmatch(name)],
        "columns have the symbol of a gene with a lower id and are left out": [
            raw[at] for name, ats in holders.items() for at in ats if at != first[name]
        ],
    }
    notes = [f"{where}: {len(items):,} {what} ({_shown(items)})" for what, items in found.items() if items]
    return Genes(pd.Index([names[at] for at in kept], name="gene"), np.array(kept, dtype=int), notes)


def with_gene_names(frame: pd.DataFrame, where: object, known: Collection[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of samples x genes with its genes as `name_genes` names them, and what was done in words."""
    genes = name_genes(frame.columns, where, known)
    if len(genes.at) < frame.shape[1]:
        frame = frame.iloc[:, genes.at]
    return frame.set_axis(genes.names.rename(frame.columns.name), axis=1), genes.notes


def _refuse_others(names: list[str], n_columns: int, where: object) -> None:
    """Raise for names that are dates, numbers, or ids alone."""
    for kind, pattern in RULES["names_only"].items():
        fit = [name for name in names if re.fullmatch(pattern, name)]
        if len(fit) > n_columns / 2:
            remedy = "give one row a sample, and gene symbols as columns (Ensembl's BioMart translates ids)"
            raise InputError(f"{where}: genes are {kind}, such as {fit[0]!r}: {remedy}")
    odd = [(name, what) for name in names if (what := no_gene(split_id(name)[0]))]
    if odd:
        problem = f"gene {odd[0][0]!r} is {odd[0][1]} ({len(odd):,} such)"
        remedy = "spreadsheets make them of symbols such as SEPTIN1 and MARCHF1; take the names from before"
        raise InputError(f"{where}: {problem}: {remedy}")


def _oldest(name: str, ats: list[int], raw: list[str], where: object) -> int:
    """Return the one column of a gene: of several with ids that with the lowest; others are refused."""
    if len(ats) == 1:
        return ats[0]
    same, ids = [raw[at] for at in ats], [split_id(raw[at])[1] for at in ats]
    if len(set(same)) < len(same):
        raise InputError(f"{where}: the gene {same[0]!r} is there twice: delete one of the two")
    if not all(ids):
        pair = " and ".join(map(repr, same[:2]))
        raise InputError(f"{where}: {pair} are one gene, {name}, that is there twice: delete or rename one")
    numbers = [float(re.sub(r"^\D+|_.*", "", known) or "inf") for known in ids]
    return ats[int(np.argmin(numbers))]


def _shown(names: list[str]) -> str:
    return ", ".join([*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])])
