"""Where the files come from, how they are verified, how they are read. Nothing else."""

from leaplib.sources.depmap import read_gene_screen
from leaplib.sources.drugs import read_drug_screen
from leaplib.sources.gene_sets import read_cgp, read_collection, read_gene_sets
from leaplib.sources.manifest import path, raw_folder, status, verify
from leaplib.sources.xenografts import read_pdx

__all__ = [
    "path",
    "raw_folder",
    "read_cgp",
    "read_collection",
    "read_drug_screen",
    "read_gene_screen",
    "read_gene_sets",
    "read_pdx",
    "status",
    "verify",
]
