"""NPZ and Parquet files as tables: which array is which column, and what does not fit."""

import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.arrays import read_npz, read_parquet
from rnnexp.data.table import chosen, labels, numbers
from tests.helpers.exported import needed

RANDOM = np.random.default_rng(0)


def test_arrays_of_one_series(tmp_path: Path) -> None:
    x, y = RANDOM.normal(size=(7, 3)), RANDOM.integers(0, 9, 7)
    np.savez(tmp_path / "f.npz", x=x, y=y)
    table = read_npz(tmp_path / "f.npz")
    assert list(table.columns) == ["x_1", "x_2", "x_3", "y"]
    assert table.lengths == ()
    found = [numbers(table, name) for name in chosen(table, "x", "columns")]
    np.testing.assert_array_equal(np.stack(found, 1), x)
    np.testing.assert_array_equal(numbers(table, "y"), y)


def test_arrays_of_several_series(tmp_path: Path) -> None:
    x, y = RANDOM.normal(size=(2, 5, 3)), RANDOM.normal(size=(2, 5))
    np.savez_compressed(tmp_path / "f.npz", x=x, y=y, kind=np.array(["a", "b"]))
    table = read_npz(tmp_path / "f.npz")
    assert table.lengths == (5, 5)
    for row in range(10):
        for column in range(3):
            found = numbers(table, f"x_{column + 1}")[row]
            assert found == x[row // 5, row % 5, column]
    np.testing.assert_array_equal(numbers(table, "y"), y.reshape(-1))
    assert labels(table, "kind").tolist() == 5 * ["a"] + 5 * ["b"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((3, 2)), "y": np.zeros(4)}, r"'y' is an array of shape \(4,\), expected"),
        ({"x": np.zeros((2, 3, 1)), "y": np.zeros(3)}, r"\(series, time\) = \(2, 3\)"),
        ({"x": np.zeros((2, 2, 2, 2)), "y": np.zeros(2)}, r"'x' is an array of shape"),
        ({"x": np.zeros((2, 0, 1))}, "its arrays are empty"),
        ({"x": np.zeros(())}, "holds no array with a time axis"),
        ({"x": np.array([None, "a"])}, "is no NPZ file of plain arrays"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "f.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=words):
        read_npz(tmp_path / "f.npz")


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        read_npz(tmp_path / "nowhere.npz")
    path = tmp_path / "f.npz"
    for content in (b"", b"PK\x03\x04 and so on", b"nothing"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"f.npz is no NPZ file of plain arrays"):
            read_npz(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(UsageError, match=r"one array without a name; save it by numpy.savez"):
        read_npz(path)


def test_parquet_is_what_pandas_wrote(tmp_path: Path) -> None:
    needed("pyarrow")
    frame = pandas.DataFrame(
        {"a": RANDOM.normal(size=4), "b": pandas.array([1, None, 3, 4], "Int64"), "c": list("xyxy")}
    )
    frame.to_parquet(tmp_path / "f.parquet")
    table = read_parquet(tmp_path / "f.parquet")
    assert list(table.columns) == ["a", "b", "c"]
    np.testing.assert_array_equal(numbers(table, "a"), frame["a"])
    np.testing.assert_array_equal(numbers(table, "b"), [1, np.nan, 3, 4])
    assert labels(table, "c").tolist() == list("xyxy")
    with pytest.raises(UsageError, match=r"row 0 \(from 0\), column 'c': 'x' is no number"):
        numbers(table, "c")
    frame[:0].to_parquet(tmp_path / "f.parquet")
    with pytest.raises(UsageError, match=r"f.parquet has no row"):
        read_parquet(tmp_path / "f.parquet")
    (tmp_path / "f.parquet").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"f.parquet is no Parquet file"):
        read_parquet(tmp_path / "f.parquet")
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        read_parquet(tmp_path / "nowhere.parquet")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'rnnexp\[parquet\]'"):
        read_parquet(tmp_path / "f.parquet")
