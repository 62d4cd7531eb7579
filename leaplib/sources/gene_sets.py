"""Gene sets of MSigDB in the GMT format."""

from pathlib import Path

from leaplib.errors import InputError
from leaplib.sources.manifest import path
from leaplib.sources.wheels import read_text

FOLDER = "crispy/data/pathways/"
ALL_C2 = FOLDER + "c2.all.v7.1.symbols.gmt"
CANONICAL = FOLDER + "c2.cp.v7.1.symbols.gmt"


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
        When a line has no gene or a set is there twice.
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
        sets[name] = genes
    if not sets:
        raise InputError(f"{where}: holds no gene set: get a GMT file")
    return sets


def read_gmt(file: str | Path) -> dict[str, list[str]]:
    """Read a GMT file of your own; see `parse_gmt`."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text: check the path of the GMT file") from error
    return parse_gmt(text, str(file))


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
        return read_gmt(path("msigdb-6.2"))
    if release != "7.1":
        raise InputError(f"MSigDB release {release!r} is unknown: use 7.1 or 6.2")
    archive = path("cy")
    everything = parse_gmt(read_text(archive, ALL_C2), f"{archive}: {ALL_C2}")
    canonical = parse_gmt(read_text(archive, CANONICAL), f"{archive}: {CANONICAL}")
    return {name: genes for name, genes in everything.items() if name not in canonical}
