import numpy as np
import pandas as pd
import pytest

from leaplib import InputError
from leaplib.samples.user_tables import read_expression, read_groups, read_table

TABLE = pd.DataFrame([[1.5, 2.0], [np.nan, -3e-2]], index=["a", "b"], columns=["TP53", "EGFR"])


def put(path, text, encoding="utf-8"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".parquet"])
def test_each_kind_of_file_gives_the_same_table(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        TABLE.to_parquet(path)
    else:
        TABLE.to_csv(path, sep="," if suffix == ".csv" else "\t")
    pd.testing.assert_frame_equal(read_table(path), TABLE)


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


def test_parquet_with_the_samples_in_a_column(tmp_path):
    TABLE.rename_axis("sample").reset_index().to_parquet(tmp_path / "x.parquet", index=False)
    read = read_table(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(read, TABLE, check_names=False)


def test_entrez_numbers_are_cut_off(tmp_path):
    read = read_expression(put(tmp_path / "x.csv", "id,TP53 (7157),EGFR(1956),NKX2-1 (7080),HLA-A\na,1,2,3,4\n"))
    assert read.columns.tolist() == ["TP53", "EGFR", "NKX2-1", "HLA-A"]


BAD = {
    "text": ("id,TP53,EGFR\na,1,2\nb,high,2\n", r"row 3, column 'TP53': 'high' is not a number"),
    "decimal commas": ("id,TP53,EGFR\na,1,5,2,5\n", r"row 2 has 5 fields, the header 3"),
    "another separator": ("id;TP53;EGFR\na;1;2\n", r"row 2 has 1 fields, the header 1: separate fields by commas"),
    "cut off": ("id,TP53,EGFR\na,1,2\nb,1", r"row 3 has 2 fields, the header 3"),
    "a sample twice": ("id,TP53\na,1\na,2\n", r"sample 'a' stands more than once"),
    "a column twice": ("id,TP53,TP53\na,1,2\n", r"column 'TP53' stands more than once"),
    "infinite": ("id,TP53\na,1\nb,inf\n", r"sample 'b', column 'TP53': infinite value"),
    "header only": ("id,TP53\n", r"holds no values"),
    "empty": ("", r"the file is empty"),
    "no name": ("id,TP53\n,1\n", r"a sample has no name"),
    "web page": ("<!DOCTYPE html><html>", r"a web page"),
    "UTF-16": ("id,TP53\na,1\n".encode("utf-16"), r"binary file|not in UTF-8"),
    "latin-1": ("id,TP53\ncaf\u00e9,1\n".encode("latin-1"), r"not in UTF-8"),
    "NUL": (b"id,TP53\na,1\0\n", r"binary file"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_one_line_that_names_the_place(tmp_path, case):
    text, message = BAD[case]
    path = put(tmp_path / "x.csv", text)
    with pytest.raises(InputError, match=message) as raised:
        read_table(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bad_parquet_files_suffixes_and_folders(tmp_path):
    with pytest.raises(InputError, match="no readable parquet"):
        read_table(put(tmp_path / "x.parquet", b"PAR1 cut off"))
    TABLE.assign(note="high").to_parquet(tmp_path / "y.parquet")
    with pytest.raises(InputError, match="column 'note' holds no numbers"):
        read_table(tmp_path / "y.parquet")
    with pytest.raises(InputError, match=r"unknown kind of table '\.xlsx': use one of \.csv"):
        read_table(tmp_path / "x.xlsx")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("TP53,2-Sep", "'2-Sep' is a date"),
        ("TP53 (7157),TP53", "gene 'TP53' stands more than once"),
        ("ENSG00000141510,ENSG00000146648.3", "Ensembl numbers such as 'ENSG00000141510'"),
    ],
)
def test_names_that_are_no_symbols(tmp_path, header, message):
    with pytest.raises(InputError, match=message):
        read_expression(put(tmp_path / "x.csv", f"id,{header}\na,1,2\n"))


def test_groups_of_samples(tmp_path):
    read = read_groups(put(tmp_path / "g.tsv", "note\tgroup\tsample\n\tLung\ta\nx\tSkin\tb\n"))
    assert read.to_dict() == {"a": "Lung", "b": "Skin"}
    for text, message in (("sample,group\na,\n", "'group' is empty"), ("sample,group\na,x\na,y\n", "repeats"),
                          ("sample,tissue\na,x\n", "lacks the column 'group'")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read_groups(put(tmp_path / "g.csv", text))
    with pytest.raises(InputError, match="unknown kind of table"):
        read_groups(tmp_path / "g.parquet")
