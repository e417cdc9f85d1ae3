"""Windows lie in one part of one series, and in every place where they fit."""

import itertools

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.table import Table
from rnnexp.data.windows import (
    PARTS,
    Stretch,
    fill_previous,
    joined_rows,
    series_of,
    split_series,
    window_starts,
)

GROUPED = Table("f", {"g": list("bbabcacb"), "x": list(range(8))})


def rows(stretches: list[Stretch]) -> list[list[int]]:
    return [stretch.rows_N.tolist() for stretch in stretches]


def test_rows_of_a_group_are_a_series_in_their_order() -> None:
    found = series_of(GROUPED, "g")
    assert rows(found) == [[0, 1, 3, 7], [2, 5], [4, 6]]
    assert [stretch.series for stretch in found] == ["series 'b'", "series 'a'", "series 'c'"]
    assert rows(series_of(GROUPED)) == [list(range(8))]
    table = Table("f", {"x": list(range(6))}, lengths=(3, 3))
    assert rows(series_of(table)) == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(UsageError, match=r"config.task.group=x: f has its series in an axis"):
        series_of(table, "x")


def test_parts_follow_each_other_in_time() -> None:
    series = [Stretch(np.arange(100, 120), "a"), Stretch(np.arange(10), "b")]
    parts = split_series(series, 0.2, 0.1)
    assert rows(parts["train"]) == [list(range(100, 114)), list(range(7))]
    assert rows(parts["valid"]) == [list(range(114, 118)), [7, 8]]
    assert rows(parts["test"]) == [[118, 119], [9]]
    assert rows(split_series(series, 0.5, 0.0)["test"]) == []


def test_whole_series_are_parts() -> None:
    series = [Stretch(np.arange(n, n + 3), f"{n}") for n in range(0, 30, 3)]
    parts = split_series(series, 0.2, 0.1, "series")
    names = {part: [int(s.series) // 3 for s in stretches] for part, stretches in parts.items()}
    assert names == {"train": list(range(7)), "valid": [7, 8], "test": [9]}
    with pytest.raises(UsageError, match="the training part has none of the 2 series"):
        split_series(series[:2], 0.4, 0.4, "series")
    with pytest.raises(UsageError, match="unknown option 'split' 'rows'"):
        split_series(series, 0.2, 0.1, "rows")


@pytest.mark.parametrize(("horizon", "stride"), [(0, 1), (1, 1), (3, 2)])
def test_every_window_that_fits_is_there_and_none_crosses(horizon: int, stride: int) -> None:
    lengths, steps = (9, 7, 12), 4
    ends = np.cumsum((0, *lengths))
    stretches = [Stretch(np.arange(*pair), "") for pair in itertools.pairwise(ends)]
    found = window_starts({"train": stretches}, steps, horizon, stride, "f")["train"]
    assert found.dtype == np.int32
    series_N = np.repeat(range(3), lengths)
    fits = [
        start
        for start in range(sum(lengths))
        if start + steps - 1 + horizon < sum(lengths)
        and len({*series_N[start : start + steps + horizon]}) == 1
        and (start - ends[series_N[start]]) % stride == 0
    ]
    assert found.tolist() == fits


def test_a_stretch_without_room_is_named() -> None:
    parts = {"train": [Stretch(np.arange(9), "")], "valid": [Stretch(np.arange(5), "series 'a'")]}
    assert window_starts(parts, 4, 1, 1, "f")["valid"].tolist() == [0]
    with pytest.raises(
        UsageError,
        match=r"^f: the validation part of series 'a' has 5 steps; with window_steps 4 and "
        "horizon 2 it needs at least 6$",
    ):
        window_starts(parts, 4, 2, 1, "f")
    assert window_starts({part: [] for part in PARTS}, 4, 1, 1, "f")["test"].tolist() == []
    assert joined_rows([]).tolist() == []


def test_a_missing_value_repeats_the_one_before_in_its_series() -> None:
    nan = np.nan
    values = np.array([1, nan, nan, 2, nan, 3, nan])
    series = [Stretch(np.array([0, 2, 3, 6]), ""), Stretch(np.array([1, 4, 5]), "")]
    np.testing.assert_array_equal(fill_previous(values, series), [1, nan, 1, 2, nan, 3, 2])
