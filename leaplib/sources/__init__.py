"""Where the files come from, how they are verified, how they are read. Nothing else."""

from leaplib.sources.depmap import read_gene_screen
from leaplib.sources.drugs import read_drug_screen
from leaplib.sources.gdsc import read_expression, read_response, read_smiles
from leaplib.sources.gene_sets import read_cgp, read_collection, read_gene_sets
from leaplib.sources.identifiers import DrugIndex, LineIndex, normalise_drug, normalise_line
from leaplib.sources.manifest import Source, fetch, path, raw_folder, status, verify
from leaplib.sources.passports import read_passports
from leaplib.sources.psets import PSet, read_pset
from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.sources.studies import available, read_studies
from leaplib.sources.xenografts import Xenografts, read_pdx

__all__ = [
    "DrugIndex",
    "DrugScreen",
    "GeneScreen",
    "LineIndex",
    "PSet",
    "Source",
    "Xenografts",
    "available",
    "fetch",
    "normalise_drug",
    "normalise_line",
    "path",
    "raw_folder",
    "read_cgp",
    "read_collection",
    "read_drug_screen",
    "read_expression",
    "read_gene_screen",
    "read_gene_sets",
    "read_passports",
    "read_pdx",
    "read_pset",
    "read_response",
    "read_smiles",
    "read_studies",
    "status",
    "verify",
]
