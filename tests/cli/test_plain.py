"""Plain tables are aligned and complete."""

from typing import Any

from rnnexp.cli.plain import plain_table


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
