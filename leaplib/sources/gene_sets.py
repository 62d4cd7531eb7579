"""Gene sets of MSigDB, in its formats GMT and JSON."""

import json
from pathlib import Path

from leaplib.base.errors import InputError
from leaplib.sources.manifest import path
from leaplib.sources.tabular import DATE
from leaplib.sources.wheels import read_text

FOLDER = "crispy/data/pathways/"
ALL_C2 = FOLDER + "c2.all.v7.1.symbols.gmt"
CANONICAL = FOLDER + "c2.cp.v7.1.symbols.gmt"
COLLECTIONS = {"hallmark": FOLDER + "h.all.v7.1.symbols.gmt", "canonical": CANONICAL,
               "oncogenic": FOLDER + "c6.all.v7.1.symbols.gmt"}  # fmt: skip


def parse_gmt(text: str, where: str) -> dict[str, list[str]]:
    """Parse GMT: one set a line, its name, a note and its genes, separated by tabs.

    Parameters
    ----------
    text : str
    where : str
        Name of the file, for messages.

    Returns
    -------
    dict of set name to list of gene symbols, both in the order of the file

    Raises
    ------
    InputError
        When a line has no gene, a gene is no symbol, or a set is there twice.
    """
    sets: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, *rest = line.split("\t")
        genes = [gene for gene in rest[1:] if gene]
        if not name or not genes:
            raise InputError(f"{where}: line {number} is not name, note, genes between tabs: get a GMT file")
        if name in sets:
            raise InputError(f"{where}: line {number} repeats the gene set {name!r}: remove one of the two")
        _refuse_others(genes, f"{where}: line {number}")
        sets[name] = genes
    if not sets:
        raise InputError(f"{where}: holds no gene set: get a GMT file")
    return sets


def _refuse_others(genes: list[str], where: str) -> None:
    """Raise for what is no symbol: a date that a spreadsheet made of one, or bytes of a binary file."""
    odd = [gene for gene in genes if DATE.fullmatch(gene) or not gene.isprintable()]
    if odd:
        raise InputError(f"{where}: {odd[0]!r} is no gene symbol: get the file as MSigDB publishes it")


def parse_msigdb_json(text: str, where: str) -> dict[str, list[str]]:
    """Parse MSigDB's JSON: {"SET": {"geneSymbols": ["TP53", ...], ...}, ...}.

    Parameters
    ----------
    text : str
    where : str
        Name of the file, for messages.

    Returns
    -------
    dict of set name to list of gene symbols, both in the order of the file

    Raises
    ------
    InputError
        When it is no JSON of this form, a set has no gene, or a set is there twice.
    """
    try:
        found = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, where))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: also of numbers with thousands of digits
        raise InputError(f"{where}: not JSON, or cut off ({error}): get MSigDB's JSON file") from error
    if not isinstance(found, dict) or not found:
        raise InputError(f"{where}: holds no gene set: get MSigDB's JSON file")
    return {name: _symbols(name, entry, where) for name, entry in found.items()}


def _unique(pairs: list[tuple[str, object]], where: str) -> dict[str, object]:
    """Make a dict of an object's pairs; JSON itself would let the last of equal names win in silence."""
    names = [name for name, _ in pairs]
    repeated = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if repeated:
        raise InputError(f"{where}: {repeated[0]!r} is there twice: remove one of the two")
    return dict(pairs)


def _symbols(name: str, entry: object, where: str) -> list[str]:
    """Return the genes of a set."""
    genes = entry.get("geneSymbols") if isinstance(entry, dict) else None
    if not isinstance(genes, list) or not genes or not all(isinstance(gene, str) and gene for gene in genes):
        raise InputError(f"{where}: the gene set {name!r} has no list of symbols 'geneSymbols': get MSigDB's JSON file")
    _refuse_others(genes, f"{where}: the gene set {name!r}")
    return genes


def read_gene_sets(file: str | Path) -> dict[str, list[str]]:
    """Read gene sets from a GMT file or from MSigDB's JSON; the content tells which it is.

    Parameters
    ----------
    file : str or Path

    Returns
    -------
    dict of set name to list of gene symbols, both in the order of the file

    Raises
    ------
    InputError
        When the file is missing, no text, a web page or empty, or as `parse_gmt` and `parse_msigdb_json`.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text: check the path of the GMT or JSON file") from error
    start = text.lstrip()[:1]
    if start == "<":
        raise InputError(f"{file}: a web page, not gene sets: get a GMT or JSON file from MSigDB")
    return parse_msigdb_json(text, str(file)) if start in ("{", "[") else parse_gmt(text, str(file))


def read_cgp(release: str = "7.1") -> dict[str, list[str]]:
    """Read the chemical and genetic perturbation sets (C2 CGP) of MSigDB.

    Parameters
    ----------
    release : {"7.1", "6.2"}
        7.1 lies in the wheel `cy`, as C2 in full and its canonical pathways: CGP is the rest (3,297 sets,
        20,233 genes). 6.2, which the paper uses, is a file to download.

    Returns
    -------
    dict of set name to list of gene symbols

    Raises
    ------
    InputError
        When the file is missing or not as it should be, or the release is unknown.
    """
    if release == "6.2":
        return read_gene_sets(path("msigdb-6.2"))
    if release != "7.1":
        raise InputError(f"MSigDB release {release!r} is unknown: use 7.1 or 6.2")
    archive = path("cy")
    everything = parse_gmt(read_text(archive, ALL_C2), f"{archive}: {ALL_C2}")
    canonical = parse_gmt(read_text(archive, CANONICAL), f"{archive}: {CANONICAL}")
    found = {name: genes for name, genes in everything.items() if name not in canonical}
    if not found:
        raise InputError(f"{archive}: {ALL_C2} holds nothing but canonical pathways: run `leap data fetch cy`")
    return found


def read_collection(name: str = "hallmark") -> dict[str, list[str]]:
    """Read a collection of MSigDB 7.1 from the wheel `cy`.

    Parameters
    ----------
    name : {"hallmark", "canonical", "oncogenic"}
        50 hallmarks (H), 2,232 canonical pathways (C2 CP), 189 oncogenic signatures (C6).

    Returns
    -------
    dict of set name to list of gene symbols

    Raises
    ------
    InputError
        When the file is missing or not as it should be, or the collection is unknown.
    """
    if name not in COLLECTIONS:
        raise InputError(f"gene sets {name!r} are unknown: use one of {', '.join(COLLECTIONS)}")
    archive = path("cy")
    return parse_gmt(read_text(archive, COLLECTIONS[name]), f"{archive}: {COLLECTIONS[name]}")
