"""Tables on the console: plain ones are aligned and complete; all end with a line break."""

from typing import Any

import pytest

from rnnexp.cli.output import MANY_ROWS, plain_table, print_table


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
