"""Real measurements, written out as their providers publish them, so that the readers have real files to read."""

import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq

from leaplib.sources import manifest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PDX_EXPRESSION = SHARED / "pdxe_expression_481genes_log2fpkm.parquet"
PDX_RESPONSE = SHARED / "nm.3954-S2_PCT_curve_metrics_common_samples.txt"
DEMETER2 = SHARED / "demeter2_rnai_121x17258.parquet"
RNA_SEQ = SHARED / "ccle_19Q2_rnaseq_log2tpm1_407x17893.parquet"
CTRP = SHARED / "ctrpv2_response.parquet"
MODELS = SHARED / "Model.csv"


def write_pdx(path: Path) -> None:
    """Write the workbook of the PDX Encyclopedia from its expression (481 genes) and its published responses."""
    expression = pd.read_parquet(PDX_EXPRESSION)
    tissue = expression.pop("tissue")
    arms = pd.read_csv(PDX_RESPONSE, sep="\t", dtype=str, keep_default_na=False)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("RNAseq_fpkm")
    sheet.append(["Sample", *expression.index])
    for gene, values in (2.0 ** expression.astype(float) - 1).clip(lower=0).T.iterrows():
        sheet.append([gene, *values.tolist()])
    sheet = book.create_sheet("PCT curve metrics")
    sheet.append(list(arms))
    numeric = {column: pd.to_numeric(arms[column], errors="coerce").notna().any() for column in arms}
    for row in arms.itertuples(index=False):
        sheet.append([float(v) if numeric[c] and v not in ("", "NA") else v for c, v in zip(arms, row, strict=True)])
    sheet = book.create_sheet("PCT raw data")
    sheet.append(["Model", "Tumor Type"])
    for model, kind in tissue.items():
        sheet.append([model, kind])
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def write_effects(genes: int) -> None:
    """Write gene effects of DEMETER2 and CCLE's RNA-seq as DepMap's files of 18Q3 and 23Q4; the first genes of each."""
    effect, rna = (
        pd.read_parquet(path, columns=[*ids, *[name for name in pq.read_schema(path).names if name.isupper()][:genes]])
        for path, ids in ((DEMETER2, ["ModelID"]), (RNA_SEQ, []))
    )
    effect = effect[effect["ModelID"].fillna("") != ""].set_index("ModelID")
    for name, frame in (("depmap-18q3-effect", effect), ("depmap-23q4-expression", rna)):
        target = manifest.get_source(name).target
        target.parent.mkdir(parents=True, exist_ok=True)
        named = frame.set_axis([f"{gene} ({number})" for number, gene in enumerate(frame, start=1)], axis=1)
        named.rename_axis("ModelID").to_csv(target, float_format="%.5g")
    target = manifest.get_source("depmap-23q4-model").target
    target.write_bytes(MODELS.read_bytes())


def write_ctrp(path: Path, drugs: int | None = None) -> None:
    """Write the archive of CTRP v2 from its published areas; only of the first so many drugs, by default of all."""
    records = pd.read_parquet(CTRP)
    records = records[records["drug"].isin(records["drug"].unique()[:drugs])]
    line, drug = (pd.factorize(records[column]) for column in ("cell_name", "drug"))
    curves = pd.DataFrame({"experiment_id": line[0], "master_cpd_id": drug[0], "area_under_curve": records["raw"]})
    smiles = records.drop_duplicates("drug").set_index("drug")["smiles"].reindex(drug[1])
    tables = {
        "v20.data.curves_post_qc.txt": curves.drop_duplicates(),
        "v20.meta.per_experiment.txt": pd.DataFrame({"experiment_id": np.arange(len(line[1])),
                                                     "master_ccl_id": np.arange(len(line[1]))}),
        "v20.meta.per_cell_line.txt": pd.DataFrame({"master_ccl_id": np.arange(len(line[1])), "ccl_name": line[1]}),
        "v20.meta.per_compound.txt": pd.DataFrame({"master_cpd_id": np.arange(len(drug[1])), "cpd_name": drug[1],
                                                   "cpd_smiles": smiles.to_numpy()}),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, table in tables.items():
            archive.writestr(name, table.to_csv(sep="\t", index=False))
