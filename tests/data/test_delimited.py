"""Delimited text is read as pandas reads it, and what is wrong has its line."""

from pathlib import Path

import numpy as np
import pandas
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.delimited import find_delimiter, read_delimited
from rnnexp.data.table import numbers

MARKS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}


def written(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_numbers_are_those_that_pandas_reads(tmp_path: Path, mark: str, end: str) -> None:
    drawn = np.random.default_rng(0).normal(size=(30, 3))
    lines = [mark.join(("a", "b c" if mark != " " else "b_c", "d"))]
    lines += [mark.join(f"{x:.17g}" for x in row) for row in drawn]
    path = written(tmp_path, end.join(lines) + end)
    expected = pandas.read_csv(path, sep=mark)
    for delimiter in ("", mark, MARKS[mark]):
        found = read_delimited(path, delimiter=delimiter)
        assert list(found.columns) == list(expected.columns)
        assert found.lines_N == tuple(range(2, 32))
        for name in found.columns:
            np.testing.assert_allclose(numbers(found, name), expected[name], rtol=1e-15)


def test_cells_in_quotes_and_blank_lines_as_pandas_reads_them(tmp_path: Path) -> None:
    text = '\ufeffa,"b ""x"", c"\n1,"p\nq"\n\n2,"r,s"\n   \n3,t\n,\n'
    found = read_delimited(written(tmp_path, text))
    assert found.columns == {"a": ("1", "2", "3", ""), 'b "x", c': ("p\nq", "r,s", "t", "")}
    assert found.lines_N == (2, 5, 7, 8)
    expected = pandas.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert {name: tuple(column) for name, column in expected.items()} == found.columns


def test_columns_without_names_are_numbered_from_1(tmp_path: Path) -> None:
    path = written(tmp_path, "2020-01-01,1.5\n2020-01-02,2.5\n")
    assert read_delimited(path).columns == {
        "1": ("2020-01-01", "2020-01-02"), "2": ("1.5", "2.5"),
    }  # fmt: skip
    assert list(read_delimited(path, header="yes").columns) == ["2020-01-01", "1.5"]
    unnamed = written(tmp_path, ",x\n1,2\n")
    assert read_delimited(unnamed).columns == {"1": ("1",), "x": ("2",)}
    words = written(tmp_path, "a\nb\n")
    assert read_delimited(words).columns == {"a": ("b",)}
    assert read_delimited(words, header="no").columns == {"1": ("a", "b")}


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("1,5;2,5\n3,5;4,5\n", ";"),
        ("2020-01-01 10:00,1\n2020-01-01 11:00,2\n", ","),
        ("a b\tc\nd e\tf\n", "\t"),
        ("  1.0   2.0\n 3.0 4.0\n", " "),
        ("1\n2\n", ","),
        ("1;2;3\n4;5\n", ";"),
    ],
)
def test_the_delimiter_divides_all_lines_alike(text: str, mark: str) -> None:
    assert find_delimiter(text) == mark


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a,b\n1,2\n3\n", {}, r"t.csv, line 3 has 1 cells, expected 2 as in line 1 \(divided by c"),
        ("a,b\n1,2\n\n3,4,5\n", {}, "line 4 has 3 cells, expected 2"),
        ("a,b,a\n1,2,3\n", {}, "two columns with the name 'a'"),
        ("a,b\n", {}, "has the names of columns and no row of values"),
        ("\n \n", {}, "has no line with a value"),
        ("", {}, "is empty"),
        ("a,b\n1,2\n", {"header": "maybe"}, "unknown option 'header' 'maybe'"),
        ("a,b\n1,2\n", {"delimiter": "commas"}, "'commas'. Did you mean 'comma'"),
        ('a,b\n1,"2\n', {}, "cannot be read as delimited text"),
    ],
)
def test_a_text_that_is_no_table(
    tmp_path: Path, text: str, options: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        read_delimited(written(tmp_path, text), **options)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the text file .*: No such file"):
        read_delimited(tmp_path / "nowhere.csv")
    (tmp_path / "b.csv").write_bytes(b"a,b\n\xff,1\n")
    with pytest.raises(UsageError, match="is not UTF-8: byte 4"):
        read_delimited(tmp_path / "b.csv")
