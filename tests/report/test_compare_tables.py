"""The tables of `rnnexp compare` have like columns and every figure."""

from pathlib import Path

import pytest

from rnnexp.report.compare_tables import EQUAL, comparison_tables
from rnnexp.results.compare import compare
from rnnexp.results.index import read_index
from tests.helpers.synthetic_runs import protocol_runs, write_run

RATE = "optimizer.learning_rate"


def test_tables_have_like_columns_and_every_figure(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    write_run(tmp_path, "adding/gru", status="failed")
    rows = compare(read_index(tmp_path), ["cell"], "test_loss")
    tables = comparison_tables(rows, "test_loss")
    assert [len(table) for _, table in tables] == [2, 1, 1]
    for _, table in tables:
        assert len({tuple(row) for row in table}) == 1
    assert (tables[0][1][0]["cell"], tables[0][1][0]["mean"]) == ("gru", "-")
    chosen = tables[1][1][0]
    assert (chosen["setting"], chosen["of"], chosen["seeds"]) == (f"{RATE}=0.001", 3, "3")
    assert chosen["mean"] == pytest.approx(0.31)
    assert tables[2][1][0]["test_loss"] == 0.5


def test_heads_say_what_is_pooled_and_how_intervals_are_made(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    tables = comparison_tables(compare(read_index(tmp_path), ["cell"], "test_loss"), "test_loss")
    title, (row,) = tables[0]
    assert title.startswith("test_loss of all completed runs; groups pool seeds and settings")
    assert title.endswith(f"which differ in {RATE}")
    assert "pool" not in tables[1][0]
    for table in (tables[0][1], tables[1][1]):
        assert [name for name in table[0] if "95 %" in name] == ["95 % of the mean (Student's t)"]
    assert row["range"] == "0.1 .. 0.5"
    alone = comparison_tables(compare(read_index(tmp_path), [RATE], "test_loss"), "test_loss")
    assert alone[0][0] == "test_loss of all completed runs"


def test_the_bootstrap_and_its_limit_are_named(tmp_path: Path) -> None:
    for seed in range(20):
        write_run(tmp_path, "adding/lstm", {"seed": seed}, test={"loss": 1.0 + 0.01 * seed})
    for place, loss in enumerate((0.1, 0.3)):
        write_run(tmp_path, "adding/gru", {"seed": place}, test={"loss": loss})
    rows = compare(read_index(tmp_path), ["cell"], "test_loss")
    assert {row["group"]["cell"]: row["interval"] for row in rows} == {
        "lstm": "bootstrap", "gru": "Student's t",
    }  # fmt: skip
    (_, table), *_ = comparison_tables(rows, "test_loss")
    assert list(table[0])[-1] == "95 % of the mean (Student's t; bootstrap from 20 values)"
    assert table[0]["range"] == "0.1 .. 0.3"
    assert table[0][list(table[0])[-1]] == "-1.071 .. 1.471"  # 12.7 standard errors on either side


def test_what_has_no_interval_says_none(tmp_path: Path) -> None:
    for cell, losses in (("lstm", (1.0, 1.0)), ("gru", (0.5,)), ("rnn", (0.5, float("inf")))):
        for seed, loss in enumerate(losses):
            write_run(tmp_path, f"adding/{cell}", {"seed": seed}, test={"loss": loss})
    (_, table), *_ = comparison_tables(compare(read_index(tmp_path), ["cell"], "test_loss"), "x")
    shown = {row["cell"]: (row["range"], row["95 % of the mean"]) for row in table}
    assert shown == {"lstm": (EQUAL, "-"), "gru": ("-", "-"), "rnn": ("0.5 .. inf", "-")}
