"""A user's tables: read, brought to a log scale, and matched to a model's training table."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from leaplib import InputError
from leaplib.samples import tables
from leaplib.samples.matching import Reference, as_log
from leaplib.samples.tables import read_groups, read_table

TABLE = pd.DataFrame([[1.5, 2.0], [np.nan, -3e-2]], index=["a", "b"], columns=["TP53", "EGFR"])
GENES = [f"G{i}" for i in range(40)]


def put(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "id,TP53,EGFR\na,1.5,2\nb,NA,-3e-2\n",
        "TP53,EGFR\na,1.5,2\nb,,-0.03\n",  # as R writes it
        "\ufeffid, TP53 ,EGFR\r\n a ,1.5,2.0\r\n\r\nb,nan,-0.03\r\n",  # byte order mark, CRLF, blanks, an empty line
        '"id","TP53","EGFR"\n"a",1.5,2\n"b","",-3e-2',
    ],
)
def test_the_ways_programs_write_csv(tmp_path, text):
    pd.testing.assert_frame_equal(read_table(put(tmp_path / "x.csv", text)), TABLE)


def test_tabs_and_parquet_give_the_same_table(tmp_path):
    for suffix in (".tsv", ".txt"):
        TABLE.to_csv(tmp_path / f"x{suffix}", sep="\t")
    TABLE.to_parquet(tmp_path / "x.parquet")
    TABLE.rename_axis("sample").reset_index().to_parquet(tmp_path / "y.parquet", index=False)
    for name in ("x.tsv", "x.txt", "x.parquet", "y.parquet"):
        pd.testing.assert_frame_equal(read_table(tmp_path / name), TABLE, check_names=False)


BAD = {
    "text": ("id,TP53,EGFR\na,1,2\nb,high,2\n", r"sample 'b', column 'TP53': 'high' is not a number"),
    "decimal commas": ("id,TP53,EGFR\na,1,5,2,5\n", r"row 2 has 5 fields, the header 3"),
    "cut off": ("id,TP53,EGFR\na,1,2\nb,1", r"row 3 has 2 fields, the header 3"),
    "a sample twice": ("id,TP53\na,1\na,2\n", r"sample 'a' stands more than once"),
    "a column twice": ("id,TP53,TP53\na,1,2\n", r"column 'TP53' stands more than once"),
    "infinite": ("id,TP53\na,1\nb,inf\n", r"sample 'b', column 'TP53': infinite value"),
    "header only": ("id,TP53\n", r"holds no values"),
    "empty": ("", r"the file is empty"),
    "no name": ("id,TP53\n,1\n", r"a sample has no name"),
    "web page": ("<!DOCTYPE html><html>", r"a web page"),
    "UTF-16": ("id,TP53\na,1\n".encode("utf-16"), r"not in UTF-8"),
    "NUL": (b"id,TP53\na,1\0\n", r"holds no numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_one_line_that_names_the_place(tmp_path, case):
    text, message = BAD[case]
    path = put(tmp_path / "x.csv", text)
    with pytest.raises(InputError, match=message) as raised:
        read_table(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_bad_parquet_files_suffixes_and_folders(tmp_path):
    TABLE.assign(TP53=["1.5", "high"]).to_parquet(tmp_path / "y.parquet")
    (tmp_path / "folder.csv").mkdir()
    put(tmp_path / "x.parquet", b"PAR1 cut off")
    cases = {"x.parquet": "no readable parquet", "y.parquet": "sample 'b', column 'TP53': 'high' is not a number",
             "x.xlsx": r"unknown kind of table '\.xlsx': use one of \.csv", "folder.csv": "cannot be read",
             "none.csv": "cannot be read"}  # fmt: skip
    for name, message in cases.items():
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / name)


def test_depmap_s_own_columns_are_left_out_without_a_warning(tmp_path):
    columns = {"SequencingID": ["CDS-1", "CDS-2"], "ModelID": ["a", "b"], "IsDefaultEntryForModel": ["Yes", "No"]}
    TABLE.reset_index(drop=True).assign(**columns).to_csv(tmp_path / "x.csv")
    read = read_table(tmp_path / "x.csv")
    assert read.index.tolist() == ["a"] and not any(note.startswith("warning") for note in read.attrs["notes"])
    read = read_table(put(tmp_path / "y.csv", "sample,IDS,TP53,ids\na,1.5,2.5,7\nb,3.5,0.5,8\n"))  # IDS is a gene
    assert list(read.columns) == ["IDS", "TP53"] and "(ids)" in read.attrs["notes"][0]


def test_every_refusal_in_the_rules_is_used_and_every_one_used_is_there():
    code = "".join(path.read_text() for path in Path(tables.__file__).parent.glob("*.py"))
    used = re.findall(r'(?:refusal\(|refuse_samples\([^"\n]*(?:"\w+"\][^"\n]*)?)"(\w+)"', code)
    assert set(used) == set(tables.RULES["refusals"])


def test_groups_of_samples(tmp_path):
    read = read_groups(put(tmp_path / "g.tsv", "note\tgroup\tsample\n\tLung\ta\nx\tSkin\tb\n"))
    assert read.to_dict() == {"a": "Lung", "b": "Skin"}
    for text, message in (("sample,group\na,\n", "'group' is empty"), ("sample,group\na,x\na,y\n", "repeats"),
                          ("sample,tissue\na,x\n", "lacks the column 'group'")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read_groups(put(tmp_path / "g.csv", text))
    with pytest.raises(InputError, match="unknown kind of table"):
        read_groups(tmp_path / "g.parquet")


# Units


def table(n=30, seed=0):
    return pd.DataFrame(np.random.default_rng(seed).gamma(2, 2, (n, 40)), [f"s{i}" for i in range(n)], GENES)


def test_z_scores_are_told_by_the_values_and_what_is_unclear_is_refused():
    x = table()
    z = (x.T - x.mean(axis=1)).div(x.std(axis=1)).T
    found, units, note = as_log(z, "auto", "x.csv")
    assert units == "z-score" and note.endswith("(detected)") and found.equals(z)
    for unclear in (np.log2(2**x - 0.999), x.round()):
        with pytest.raises(InputError, match=r"^x\.csv: .*declare (the units|--units log)"):
            as_log(unclear, "auto", "x.csv")


def test_units_become_log2():
    counts = pd.DataFrame([[1.0, 3.0], [0.0, 50.0]], ["a", "b"], ["G0", "G1"])
    np.testing.assert_allclose(as_log(counts, "counts", "x")[0], np.log2([[250_001, 750_001], [1, 1_000_001]]))
    np.testing.assert_allclose(as_log(counts, "tpm", "x")[0], np.log2([[2, 4], [1, 51]]))
    assert as_log(counts - 1, "z-score", "x", matched=True)[0].equals(counts - 1)
    for units, values, message in (("tpm", counts - 1, "'b': no TPM, .*values from -1"),
                                   ("log", counts, "'b': no log2"),
                                   ("counts", counts * np.array([[1], [0]]), "'b' has no counts"),
                                   ("log", counts * np.array([[np.nan], [1]]), "'a' has no values"),
                                   ("fpkm", counts, "units 'fpkm' are unknown")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            as_log(values, units, "x")


# Matching


def reference(x, unit="log2(TPM+1)", n_needed=40):
    return Reference.fit(x, unit, pd.Index(GENES[:n_needed]))


def test_missing_genes_take_the_training_mean_are_counted_and_limited():
    training, new = table(), table(5, seed=1)
    model = reference(training, n_needed=30)
    same, notes = model.prepare(new, "log")
    pd.testing.assert_frame_equal(same, new[GENES[:30]])
    assert notes == []
    holed = new.drop(columns=["G3", "G35"]).assign(other=1.0)
    holed.iloc[1, 0] = np.nan
    ready, notes = model.prepare(holed, "log")
    assert notes[0].startswith("warning: 1 of 30 genes are missing (G3)")
    assert notes[1].startswith("warning: 1 empty cells in 1 samples")
    assert (ready["G3"] == training["G3"].mean()).all() and ready.iloc[1, 0] == training["G0"].mean()
    with pytest.raises(InputError, match=r"7 of the model's 30 genes are missing, 'G0' first: above .* 20%"):
        model.prepare(new[GENES[7:]], "log")
    model.prepare(new[GENES[7:]], "log", max_missing=0.25)
    holed.iloc[2, :10] = np.nan
    with pytest.raises(InputError, match="sample 's2'"):
        model.prepare(holed, "log")
    for wrong, message in (({"match": "magic"}, "use one of none, domain"), ({"max_missing": 1.5}, "max-missing")):
        with pytest.raises(InputError, match=message):
            model.prepare(new, "log", **wrong)


def test_a_log_table_is_z_scored_for_a_model_of_z_scores_and_not_the_other_way_round():
    x = table()
    z = x.sub(x.mean(axis=1), axis=0).div(x.std(axis=1, ddof=0), axis=0)
    model = reference(z, "z-score", 30)
    ready, notes = model.prepare(3 * x + 1, "log")
    np.testing.assert_allclose(ready, z[GENES[:30]])
    assert "z-scored over its 40 known genes" in notes[0]
    with pytest.raises(InputError, match="'s4' does not vary"):
        model.prepare(x.mul(x.index != "s4", axis=0), "log")
    with pytest.raises(InputError, match="z-scores, but the model was trained on log2"):
        reference(x).prepare(z, "z-score")
    reference(x).prepare(z, "z-score", match="domain")


def test_counts_for_a_model_of_tpm_are_told():
    x = table()
    model = Reference.fit(x, "log2(TPM+1)", x.columns, "tpm")
    assert model.prepare(x, "log")[1] == []
    assert "trained on tpm, these are counts" in model.prepare(x, "counts")[1][0]


def test_domain_matching_undoes_an_affine_shift_of_each_gene():
    x, rng = table(200), np.random.default_rng(3)
    shifted = x * rng.uniform(0.5, 2, 40) + rng.normal(0, 3, 40)
    np.testing.assert_allclose(reference(x).prepare(shifted, "log", "domain")[0], x)
    assert np.abs(reference(x).prepare(shifted, "log")[0] - x).to_numpy().mean() > 1
    with pytest.raises(InputError, match="9 samples are too few"):
        reference(x).prepare(shifted.iloc[:9], "log", "domain")


def test_quantile_matching_undoes_a_monotone_change_of_each_sample():
    x = table(60)
    ready = reference(x).prepare(np.exp(x / 3), "log", "quantile")[0]
    np.testing.assert_array_equal(rankdata(ready, axis=1), rankdata(x, axis=1))
    profile = np.sort(x, axis=1).mean(axis=0)
    np.testing.assert_allclose(np.sort(ready, axis=1), np.tile(profile, (60, 1)), atol=0.02)
