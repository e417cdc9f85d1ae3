"""Columns of a table become numbers or labels, and a bad cell is named."""

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.table import (
    Table,
    chosen,
    labels,
    numbers,
    require_present,
    row_count,
    sorted_labels,
)

TABLE = Table(
    "f.csv",
    {"temp": ["1", " 2.5", "-3e2"], "wind": ["1", "NA", ""], "kind": ["a ", "b", "a"]},
    lines_N=[2, 3, 5],
    bundles={"both": ("temp", "wind")},
)


def of_cells(*cells: object) -> Table:
    return Table("f", {"x": cells})


def test_columns_are_chosen_in_the_order_that_is_asked_for() -> None:
    assert chosen(TABLE, " wind, temp,", "columns") == ("wind", "temp")
    assert chosen(TABLE, "both,kind", "columns") == ("temp", "wind", "kind")
    assert chosen(TABLE, "", "columns") == ()
    assert row_count(TABLE) == 3
    assert row_count(Table("f", {})) == 0


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("tmp", r"config.task.columns: f.csv: unknown column 'tmp'. Did you mean 'temp'\?"),
        ("temp,temp", "config.task.columns names the column 'temp' twice"),
        ("temp,both", "config.task.columns names the column 'temp' twice"),
    ],
)
def test_a_column_that_there_is_not(names: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        chosen(TABLE, names, "columns")


def test_cells_become_numbers() -> None:
    np.testing.assert_array_equal(numbers(TABLE, "temp"), [1.0, 2.5, -300.0])
    np.testing.assert_array_equal(numbers(TABLE, "wind"), [1.0, np.nan, np.nan])
    mixed = of_cells(True, None, 3, np.float32(0.5), "nan", "NULL", "?")
    np.testing.assert_array_equal(numbers(mixed, "x"), [1, np.nan, 3, 0.5, *3 * [np.nan]])
    for dtype in (bool, np.int8, np.uint64, np.float32):
        found = numbers(Table("f", {"x": np.array([0, 1], dtype)}), "x")
        assert found.dtype == np.float64
        assert found.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("table", "name", "words"),
    [
        (TABLE, "kind", r"^f.csv, line 2, column 'kind': 'a ' is no number; if this line has the"),
        (of_cells("1", "x"), "x", r"^f, row 1 \(from 0\), column 'x': 'x' is no number; name the"),
        (of_cells("1", "2,5"), "x", r"'2,5' is no number; write decimals with a point, as in 2.5"),
        (of_cells("1", "-inf"), "x", r"row 1 \(from 0\), column 'x': -inf is not a finite number"),
        (of_cells(np.datetime64("2020-01-01")), "x", r"'2020-01-01' is no number"),
        (Table("f", {"x": np.array([0.0, np.inf])}), "x", "row 1 .* inf is not a finite number"),
    ],
    ids=["word", "row", "comma", "infinite", "date", "array"],
)
def test_a_cell_that_is_no_number(table: Table, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        numbers(table, name)


def test_a_missing_value_is_named_by_its_line() -> None:
    require_present(TABLE, "temp", numbers(TABLE, "temp"))
    with pytest.raises(
        UsageError,
        match=r"^f.csv, line 3, column 'wind': the value is missing, the first of 2 in this "
        "column; fill it in, or let config.task.missing=previous",
    ):
        require_present(TABLE, "wind", numbers(TABLE, "wind"))


def test_labels_are_texts() -> None:
    assert labels(TABLE, "kind").tolist() == ["a", "b", "a"]
    assert labels(of_cells(1.0, 2, np.float64(3), 0.5, "x"), "x").tolist() == [
        "1", "2", "3", "0.5", "x",
    ]  # fmt: skip
    with pytest.raises(
        UsageError, match=r"f.csv, line 3, column 'wind': the value is missing; a la"
    ):
        labels(TABLE, "wind")
    with pytest.raises(UsageError, match=r"row 1 .*: the value is missing"):
        labels(of_cells("a", float("nan")), "x")


def test_labels_that_are_numbers_are_in_their_order() -> None:
    assert sorted_labels(["10", "9", "10", "-1"]) == ("-1", "9", "10")
    assert sorted_labels(["10", "9", "b"]) == ("10", "9", "b")
