"""One normaliser for cell lines and one for drugs, and the joins that rest on them.

Names are compared in levels, the exact spelling first. A level with several candidates is an error that
names them, never a silent choice; so are two names of one file that end at the same line.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

import pandas as pd
from rdkit import Chem, rdBase

from leaplib.base.errors import InputError

# Counter-ions at the end of a drug's name. Acetate, phosphate, succinate and the like are left out, since
# they may be esters (fludarabine phosphate), and so are bromide and chloride (podophyllotoxin bromide).
SALT = re.compile(
    r"(mono|di|tri|\d)?(hcl|hydrochloride|hydrobromide|sodium|potassium|mesylate|mesilate|tosylate|besylate)"
    r"|trifluoroacetate|maleate|malate|(mono|di)?hydrate"
)
DOSE = re.compile(r"\d\s*[pnum]?m\b", re.IGNORECASE)

# Names that differ from their drug's usual one, settled by the responses. Of all GDSC2 drugs, Venetoclax
# resembles "Venotoclax" of GDSC1 most (a misspelling), and IGF1R_3801 resembles IGFR_3801 most
# (Spearman 0.61 over 695 lines; the same code number).
SETTLED_DRUGS = {"Venotoclax": "Venetoclax", "IGFR_3801": "IGF1R_3801"}

# The expression file writes names without punctuation, so that KMH2 may be KM-H2 (Hodgkin's lymphoma) or
# KMH-2 (thyroid). The profile settles it: PTPRC and CD74 are high, its closest lines are L-428 and
# L-1236, both Hodgkin's. ("TT" is an exact name, thyroid: CALCA and RET are high, as in medullary carcinoma;
# ML-1 and MS-1, each the name of two passports, lie beside thyroid and small cell lung lines.)
# In CTRP, KMH2 is the Hodgkin's line too: DepMap gives its profile to that one (ACH-000815).
EXPRESSION = "GDSC expression"
SETTLED_LINES = {EXPRESSION: {"KMH2": "KM-H2"}, "CTRP": {"KMH2": "KM-H2"}}


def _plain(name: str) -> str:
    """Return a name in compatible characters, Greek letters spelled out."""
    text = unicodedata.normalize("NFKC", str(name))
    return re.sub("[\u0370-\u03ff]", lambda letter: _greek(letter[0]), text)


def _greek(letter: str) -> str:
    """Return "alpha" for the letter alpha and so on; mu is the "u" of micromolar."""
    named = re.search(r"LETTER (?:FINAL )?(\w+)", unicodedata.name(letter, ""))
    word = named[1].lower() if named else ""
    return "u" if word == "mu" else word


def _letters(name: str) -> str:
    """Return the letters and digits of a name, without accents, in upper case."""
    return re.sub(r"[^A-Z0-9]", "", unicodedata.normalize("NFKD", name).upper())


def normalise_line(name: str) -> str:
    """Return a cell line's name as upper-case letters and digits: "NCI-H2029" gives "NCIH2029".

    Greek letters are spelled out; a note after a comma or a semicolon is dropped. What stands in brackets
    belongs to the name: "PC-3_[JPC-3]" is another line than "PC-3", "SK-N-BE(2)" another than "SK-N-BE".
    A normalised name may still stand for two lines (T-T and TT, KM-H2 and KMH-2): only `LineIndex`
    should decide by it.
    """
    return _letters(re.split(r"[,;]", _plain(name))[0]) or str(name).strip()


class LineIndex:
    """Finds cell lines by their names.

    Parameters
    ----------
    lines : DataFrame
        As `read_passports` returns: the index holds the canonical names; columns name, synonyms,
        screened, and the identifiers model_id, depmap_id, ccle_id, which count as exact names.
    """

    LEVELS = ("exact", "normalised", "synonym")

    def __init__(self, lines: pd.DataFrame) -> None:
        self._levels: dict[str, dict[str, set[str]]] = {level: defaultdict(set) for level in self.LEVELS}
        self._screened = set(lines.index[lines["screened"]])
        labels = lines["name"] + " (" + lines["model_id"].fillna("unlisted") + ")"
        self._labels = dict(zip(lines.index, labels, strict=True))
        exact = lines[["name", "model_id", "depmap_id", "ccle_id"]].to_numpy(dtype=object)
        for line, names, synonyms in zip(lines.index, exact, lines["synonyms"], strict=True):
            for name in {line, *names}:
                if isinstance(name, str):
                    self._levels["exact"][name].add(line)
            self._levels["normalised"][normalise_line(names[0])].add(line)
            for synonym in synonyms:
                self._levels["synonym"][normalise_line(synonym)].add(line)

    def match(self, names: Iterable[str], where: str, settled: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Find lines by name.

        Parameters
        ----------
        names : iterable of str
            Names as a file spells them; repeats count once.
        where : str
            Name of the file or study, for messages.
        settled : mapping of name to canonical name, optional
            Decisions taken beforehand, with evidence; they go before every level.

        Returns
        -------
        DataFrame, one row a name
            raw; canonical (missing where unmatched); how ("settled" | "exact" | "normalised" |
            "synonym" | "unmatched").

        Raises
        ------
        InputError
            When a name fits several lines at its level, or two names end at the same line; lists all.
        """
        settled = settled or {}
        rows, unclear = [], []
        for raw in dict.fromkeys(map(str, names)):
            how, found = ("settled", {settled[raw]}) if raw in settled else self._find(raw)
            if len(found) > 1:
                unclear.append(f"{raw!r} may be {' or '.join(sorted(self._labels[line] for line in found))}")
            rows.append({"raw": raw, "canonical": next(iter(found), None), "how": how})
        if unclear:
            raise InputError(f"{where}: ambiguous lines: {'; '.join(unclear)}: use the exact name or the model_id")
        frame = pd.DataFrame(rows, columns=["raw", "canonical", "how"])
        _refuse_collisions(frame, where)
        return frame

    def _find(self, raw: str) -> tuple[str, set[str]]:
        """Return the first level with a candidate, and its candidates."""
        key = normalise_line(raw)
        for level in self.LEVELS:
            found = self._levels[level].get(raw.strip() if level == "exact" else key, set())
            # Of several lines with one name, the one in the drug screens is meant, if it is the only one.
            if len(found) > 1 and len(found & self._screened) == 1:
                found = found & self._screened
            if found:
                return level, found
        # The NCI's lung and mesothelioma lines often go without their prefix: H2869 is NCI-H2869.
        if re.fullmatch(r"H\d{3,4}", key):
            found = self._levels["normalised"].get("NCI" + key, set())
            return ("synonym", found) if found else ("unmatched", found)
        return "unmatched", set()


def _refuse_collisions(matched: pd.DataFrame, where: str) -> None:
    """Raise when two raw names ended at the same line."""
    known = matched[matched["canonical"].notna()]
    twice = known[known["canonical"].duplicated(keep=False)]
    if len(twice):
        groups = [f"{line} ({', '.join(names)})" for line, names in twice.groupby("canonical")["raw"]]
        raise InputError(f"{where}: several names for one cell line: {'; '.join(groups)}: rename or merge them")


def names_by_model_id(passports: pd.DataFrame) -> dict[str, str]:
    """Return the names of lines by DepMap's ModelID."""
    known = passports.dropna(subset="depmap_id").drop_duplicates("depmap_id")
    return dict(zip(known["depmap_id"], known.index, strict=True))


def join_lines(passports: pd.DataFrame, names: Mapping[str, Iterable[str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find the lines of several files in the passport list.

    Parameters
    ----------
    passports : DataFrame
        As `read_passports` returns.
    names : mapping of file or study to names
        Joined in this order: a line that is not listed is known to the files after it.

    Returns
    -------
    DataFrame
        The passports and, below them, the lines that are not listed.
    DataFrame
        study, raw, canonical, how; "unmatched" lines keep their raw name as canonical.
    """
    lines, joins = passports, []
    for study, raw in names.items():
        matched = LineIndex(lines).match(sorted(raw), study, SETTLED_LINES.get(study))
        unlisted = matched.loc[matched["how"] == "unmatched", "raw"]
        matched["canonical"] = matched["canonical"].fillna(matched["raw"])
        lines = pd.concat([lines, _unlisted(unlisted, lines)])
        joins.append(matched.assign(study=study))
    return lines, pd.concat(joins, ignore_index=True)


def _unlisted(names: pd.Series, lines: pd.DataFrame) -> pd.DataFrame:
    """Return rows like those of `lines` that hold nothing but a name."""
    index = pd.Index(names, name="line")
    known = {"name": list(names), "screened": False, "synonyms": [[] for _ in names]}
    frame = pd.DataFrame(known, index=index)
    return frame.reindex(columns=lines.columns).astype(lines.dtypes.to_dict())


def normalise_drug(name: str) -> str:
    """Return a drug's name as upper-case letters and digits, without counter-ions.

    "PLX-4720" and "PLX4720" give "PLX4720", "GSK-LSD1-2HCl" gives "GSKLSD1". Greek letters are spelled out.
    Brackets are kept, since they often hold what tells drugs apart (a dose, an isomer); a sign of
    optical rotation becomes a word, so that "Nutlin-3a (-)" is not "Nutlin-3a".
    """
    text = _plain(name).replace("(-)", " minus ").replace("(+)", " plus ").replace("(±)", " rac ")
    words = [word for word in re.split(r"[\s\-]+", text) if word]
    while len(words) > 1 and SALT.fullmatch(words[-1].lower()):
        words.pop()
    return _letters("".join(words)) or str(name).strip()


def drug_synonyms(name: str) -> list[str]:
    """Return the normalised synonyms that a drug's name itself lists.

    Parts between commas ("Brivanib, BMS-540215"), and the parts before and in a bracket at the end
    ("ascorbate (vitamin C)") unless it holds a dose or no word of three letters.
    """
    text = _plain(name).strip()
    parts = re.split(r",\s+", text)
    bracket = re.fullmatch(r"(.+?)\s+\((.+)\)", text)
    if len(parts) == 1 and bracket and re.search(r"[A-Za-z]{3}", bracket[2]) and not DOSE.search(bracket[2]):
        parts = [bracket[1], bracket[2]]
    keys = [normalise_drug(part) for part in parts] if len(parts) > 1 else []
    return [key for key in keys if len(key) > 2]


def structure_key(smiles: str, name: str) -> str:
    """Return the InChIKey of a drug's largest component, without the protonation flag.

    Counter-ions do not count; in a compound with a metal every part does (cisplatin). The first 14
    letters hold the connectivity, the next ten stereochemistry and isotopes.

    Raises
    ------
    InputError
        When the SMILES cannot be parsed; names the drug.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) if isinstance(smiles, str) else None
        if molecule is None or not molecule.GetNumAtoms():
            raise InputError(f"drug {name!r}: its SMILES {smiles!r} cannot be parsed: correct it or drop it")
        if not any(atom.GetSymbol() in ("Pt", "As", "Au", "Sb") for atom in molecule.GetAtoms()):
            parts = Chem.GetMolFrags(molecule, asMols=True)
            molecule = max(parts, key=lambda part: (part.GetNumHeavyAtoms(), Chem.MolToSmiles(part)))
        return Chem.MolToInchiKey(molecule)[:25]


class DrugIndex:
    """Gives each drug one name across studies, and finds its structure.

    Two names are one drug when they have the same structure (connectivity and stereochemistry, counter-ions
    aside) or the same normalised name. Structure holds names to account: the same normalised name on
    molecules of different connectivity is an error. Of the names of a drug, one without digits is canonical
    where there is one, then that of the first study.

    Parameters
    ----------
    smiles : Series
        SMILES by drug name.
    """

    def __init__(self, smiles: pd.Series) -> None:
        self._smiles = {str(name).strip(): text for name, text in smiles.items()}
        self._keys: dict[str, list[str]] = defaultdict(list)
        for name in self._smiles:
            self._keys[normalise_drug(name)].append(name)
        self._structures = {name: structure_key(text, name) for name, text in self._smiles.items()}
        clashes = [names for names in self._keys.values() if not self._same_skeleton(names)]
        if clashes:
            _refuse_molecules("SMILES", clashes)

    def match(self, names: Mapping[str, Iterable[str]]) -> pd.DataFrame:
        """Name the drugs of several studies.

        Parameters
        ----------
        names : mapping of study to drug names
            In the order of priority.

        Returns
        -------
        DataFrame, one row a study and name
            study, raw, canonical, smiles (missing where unknown), how the structure was found ("settled" |
            "exact" | "normalised" | "synonym" | "unmatched").

        Raises
        ------
        InputError
            When one normalised name stands for two molecules; lists them.
        """
        raws = [(study, raw) for study, drugs in names.items() for raw in sorted(set(map(str, drugs)))]
        known = {raw: self._find(raw) for _, raw in raws}
        canonical = self._canonical(list(dict.fromkeys(raw for _, raw in raws)), known)
        frame = pd.DataFrame(raws, columns=["study", "raw"])
        frame["canonical"] = [canonical[raw] for raw in frame["raw"]]
        frame["smiles"] = [self._smiles.get(known[raw][1] or "") for raw in frame["raw"]]
        frame["how"] = [known[raw][0] for raw in frame["raw"]]
        return frame

    def _same_skeleton(self, names: list[str]) -> bool:
        """Say whether the structures of all names agree in connectivity."""
        return len({self._structures[name][:14] for name in names}) < 2

    def _find(self, raw: str) -> tuple[str, str | None]:
        """Return how a structure was found and under which name, exact spelling first."""
        name = SETTLED_DRUGS.get(raw.strip(), raw.strip())
        if name in self._smiles:
            return ("exact" if name == raw.strip() else "settled"), name
        for how, keys in (("normalised", [normalise_drug(name)]), ("synonym", drug_synonyms(name))):
            found = [other for key in keys for other in self._keys.get(key, [])]
            if not self._same_skeleton(found):
                _refuse_molecules(repr(raw), [found])
            if found:
                return how, found[0]
        return "unmatched", None

    def _canonical(self, raws: list[str], known: Mapping[str, tuple[str, str | None]]) -> dict[str, str]:
        """Group names by structure and by normalised name; the first of a group names it."""
        # Names that list synonyms come last, so that a synonym meets the drug that bears it as its name.
        order = sorted(raws, key=lambda raw: (bool(drug_synonyms(raw)), bool(re.search(r"\d", raw))))
        groups: dict[str, str] = {}  # by structure and by normalised name; only the former holds a hyphen
        skeletons: dict[str, str] = {}
        canonical: dict[str, str] = {}
        clashes = []
        for raw in order:
            name = SETTLED_DRUGS.get(raw.strip(), raw.strip())
            structure = self._structures.get(known[raw][1] or "", "")
            skeleton = structure[:14]
            key = normalise_drug(name)
            group = next((groups[k] for k in (structure, key, *drug_synonyms(name)) if k in groups), name)
            if groups.get(key, group) != group or (skeleton and skeletons.get(group, skeleton) != skeleton):
                clashes.append([groups.get(key, group), raw])
            groups[key] = canonical[raw] = group
            if structure:
                groups[structure] = group
                skeletons[group] = skeleton
        if clashes:
            _refuse_molecules("responses", clashes)
        return canonical


def _refuse_molecules(where: str, clashes: list[list[str]]) -> None:
    """Raise for drugs whose names agree but whose structures do not."""
    listed = "; ".join(" and ".join(map(repr, names)) for names in clashes)
    raise InputError(f"{where}: one drug name for different molecules: {listed}: rename one or correct its SMILES")
