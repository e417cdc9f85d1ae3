"""Tables on the console: plain ones are aligned and complete; all end with a line break."""

import re
import sys
from typing import Any

import pytest
from rich.console import Console

from rnnexp.cli.output import (
    MANY_ROWS,
    bars_width,
    duration_text,
    fitted_table,
    plain_table,
    print_table,
)


def test_plain_tables_are_aligned_and_complete() -> None:
    rows: list[dict[str, Any]] = [
        {"run": "a", "step": 5, "loss": 0.123456, "reason": "one\ntwo"},
        {"run": "longer", "step": 12345, "loss": 1e-9, "reason": "x" * 300},
    ]
    title, header, rule, *lines = plain_table("runs", rows).splitlines()
    assert (title, header.split()) == ("runs", ["run", "step", "loss", "reason"])
    assert set(rule) == {"-"}
    assert lines[0] == "a           5  0.1235  one two"
    assert lines[1] == f"longer  12345   1e-09  {'x' * 300}"
    assert plain_table("nothing", []) == "nothing"


@pytest.mark.parametrize("count", [0, 1, MANY_ROWS, MANY_ROWS + 1])
def test_a_table_ends_its_last_line(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table("runs", [{"run": f"number {number}"} for number in range(count)])
    printed = capsys.readouterr().out
    assert printed.endswith("\n")
    assert not printed.endswith("\n\n")
    assert printed.count("number ") == count


@pytest.mark.parametrize(("columns", "bars"), [(80, 16), (99, 16), (100, 32), (200, 32)])
def test_sparklines_fit_the_terminal(
    columns: int, bars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert bars_width(32) == bars
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert bars_width(32) == 32


NUMBERS: list[dict[str, object]] = [
    {
        "group": "a name of several words", "step": 12345, "loss": 0.123456, "slope": -1.5e-12,
        "half-life": 10408.25, "range": "0.0144 .. 0.0231", "fit": 0.9988,
    },
    {
        "group": "gru", "step": 7, "loss": 1234.5678, "slope": 0.25, "half-life": float("inf"),
        "range": "-", "fit": 1e-09,
    },
]  # fmt: skip


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
def test_a_table_fits_its_width_and_breaks_no_number(width: int) -> None:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(fitted_table("figures", NUMBERS, width))
    printed = capture.get()
    assert max(map(len, printed.splitlines())) <= width
    words = re.split(r"[^-.+\w]+", printed)
    for row in NUMBERS:
        for value in row.values():
            if isinstance(value, float):
                assert f"{value:.4g}" in words or f"{value:.3g}" in words, (width, value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (172800, "2.0 d")],
)
def test_durations_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
