"""Gene sets of MSigDB, in its formats GMT and JSON; a set is a list of symbols, in the order of the file.

Symbols are in the one form of `leaplib.sources.genes`, each once in a set.
"""

import json
from pathlib import Path

from leaplib.base.errors import InputError
from leaplib.sources.genes import gene_name, no_gene
from leaplib.sources.manifest import path
from leaplib.sources.wheels import read_text

FOLDER = "crispy/data/pathways/"
ALL_C2 = FOLDER + "c2.all.v7.1.symbols.gmt"
CANONICAL = FOLDER + "c2.cp.v7.1.symbols.gmt"
COLLECTIONS = {
    "hallmark": FOLDER + "h.all.v7.1.symbols.gmt",
    "canonical": CANONICAL,
    "oncogenic": FOLDER + "c6.all.v7.1.symbols.gmt",
}
MEND = "get the GMT or JSON file as MSigDB publishes it"


def read_cgp() -> dict[str, list[str]]:
    """Read the chemical and genetic perturbation sets (C2 CGP) of MSigDB 7.1: 3,297 sets, 20,233 genes.

    The wheel `cy` holds C2 in full and its canonical pathways; CGP is the rest.
    """
    canonical = _of_wheel(CANONICAL)
    found = {name: genes for name, genes in _of_wheel(ALL_C2).items() if name not in canonical}
    if not found:
        raise InputError(f"{path('cy')}: {ALL_C2} holds nothing but canonical pathways: run `leap data fetch cy`")
    return found


def read_collection(name: str = "hallmark") -> dict[str, list[str]]:
    """Read a collection of MSigDB 7.1 from the wheel `cy`.

    Parameters
    ----------
    name : {"hallmark", "canonical", "oncogenic"}
        50 hallmarks (H), 2,232 canonical pathways (C2 CP), 189 oncogenic signatures (C6).
    """
    if name not in COLLECTIONS:
        raise InputError(f"gene sets {name!r} are unknown: use one of {', '.join(COLLECTIONS)}")
    return _of_wheel(COLLECTIONS[name])


def _of_wheel(member: str) -> dict[str, list[str]]:
    text, place = read_text("cy", member)
    return _parse(text, f"{place.path}: {member}")


def read_gene_sets(file: str | Path) -> dict[str, list[str]]:
    """Read gene sets of one's own from a GMT file or from MSigDB's JSON; the content tells which it is.

    Raises
    ------
    InputError
        When the file is missing or something else, a set has no genes or is there twice, or a gene is no symbol.
    """
    try:
        return _parse(Path(file).read_text(encoding="utf-8-sig"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text: check the path of the GMT or JSON file") from error


def _parse(text: str, where: str) -> dict[str, list[str]]:
    start = text.lstrip()[:1]
    if start == "<":
        raise InputError(f"{where}: a web page, not gene sets: {MEND}")
    pairs = _json_pairs(text, where) if start in ("{", "[") else _gmt_pairs(text)
    sets: dict[str, list[str]] = {}
    for name, genes in pairs:
        if name in sets:
            raise InputError(f"{where}: the gene set {name!r} is there twice: remove one of the two")
        if not (name and isinstance(genes, list) and genes and all(isinstance(gene, str) and gene for gene in genes)):
            raise InputError(f"{where}: the gene set {name!r} has no name or no list of genes: {MEND}")
        odd = [gene for gene in genes if no_gene(gene) or not gene.isprintable()]
        if odd:
            raise InputError(f"{where}: the gene set {name!r}: {odd[0]!r} is no gene symbol: {MEND}")
        sets[name] = list(dict.fromkeys(map(gene_name, genes)))
    if not sets:
        raise InputError(f"{where}: holds no gene set: {MEND}")
    return sets


def _gmt_pairs(text: str) -> list[tuple[str, object]]:
    """Split GMT: one set a line, its name, a note and its genes, separated by tabs."""
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    return [(row[0], [gene for gene in row[2:] if gene]) for row in rows]


def _json_pairs(text: str, where: str) -> list[tuple[str, object]]:
    """Split MSigDB's JSON, {"SET": {"geneSymbols": ["TP53", ...], ...}, ...}; as pairs, so that repeats are seen."""
    try:
        found = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:  # ValueError: also of numbers with thousands of digits
        raise InputError(f"{where}: not JSON, or cut off ({error}): {MEND}") from error
    pairs = found if isinstance(found, _Pairs) else []
    return [(name, dict(entry).get("geneSymbols") if isinstance(entry, _Pairs) else None) for name, entry in pairs]


class _Pairs(list[tuple[str, object]]):
    """An object of JSON, its repeats kept."""
