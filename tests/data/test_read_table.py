"""The ending of a file says how it is read, and the file counts as data."""

from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.user_files import opened_files
from rnnexp.data.read_table import read_table
from rnnexp.data.table import numbers


@pytest.mark.parametrize("name", ["f.csv", "f.TSV", "f.txt", "f.dat", "f.npz"])
def test_the_ending_says_the_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "f.npz":
        np.savez(path, a=[1.0, 2.0], b=[3.0, 4.0])
    else:
        path.write_text("a\tb\n1\t3\n2\t4\n")
    with opened_files() as opened:
        table = read_table(path)
    assert {name: numbers(table, name).tolist() for name in table.columns} == {
        "a": [1.0, 2.0], "b": [3.0, 4.0],
    }  # fmt: skip
    assert opened == {path}


def test_options_reach_the_reader_of_text(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("1;2,3\n4;5,6\n")
    assert list(read_table(path, delimiter="comma", header="yes").columns) == ["1;2", "3"]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("f.xlsx", {}, r"f.xlsx ends in '.xlsx', expected .csv, .tsv, .txt, .dat, .npz, .parquet"),
        ("f", {}, "ends in 'nothing', expected"),
        ("f.npz", {"header": "no"}, "is no delimited text; leave out delimiter and header"),
        ("f.parquet", {"delimiter": ","}, "is no delimited text; leave out delimiter and header"),
    ],
)
def test_files_and_options_that_do_not_go_together(
    name: str, options: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        read_table(Path(name), **options)
