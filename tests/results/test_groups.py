"""Runs in groups: never over tasks, in the order of their values, and with few keys."""

import logging
from pathlib import Path
from typing import Any

import pytest

from rnnexp.results.compare import compare
from rnnexp.results.groups import settings
from rnnexp.results.index import load_records, read_index
from tests.helpers.synthetic_runs import write_plan, write_run

RATE = "optimizer.learning_rate"


def test_tasks_and_their_options_are_never_averaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for task, key, values in (("adding", "length_steps", (50, 100)), ("parity", None, (0,))):
        for value in values:
            changes = {f"task.{key}": value} if key else {}
            write_run(tmp_path, f"{task}/lstm", changes, test={"loss": 0.1}, valid=0.1)
    with caplog.at_level(logging.INFO, "rnnexp"):
        rows = compare(read_index(tmp_path), ["cell"], "test_loss")
    assert [row["runs"] for row in rows] == [1, 1, 1]
    assert [list(row["group"]) for row in rows] == [["task", "task.length_steps", "cell"]] * 3
    assert "grouped by task, task.length_steps as well" in caplog.text
    caplog.clear()
    compare([r for r in read_index(tmp_path) if "parity" in r.run], ["cell"], "test_loss")
    assert caplog.text == ""


def test_rows_are_in_the_order_of_their_values(tmp_path: Path) -> None:
    for rate in (1e-5, 2.0, 3e-2, 10.0):
        for cell in ("lstm", "gru"):
            write_run(tmp_path, f"adding/{cell}", {RATE: rate}, test={"loss": rate})
    rows = compare(read_index(tmp_path), ["cell", RATE], "test_loss")
    expected = [(c, r) for c in ("gru", "lstm") for r in (1e-5, 3e-2, 2.0, 10.0)]
    assert [tuple(row["group"].values()) for row in rows] == expected
    assert [row["mean"] for row in rows] == [r for _, r in expected]


def test_settings_are_told_apart_by_few_keys_and_by_all_that_are_swept(tmp_path: Path) -> None:
    plan: list[tuple[str, dict[str, Any]]] = [
        (f"adding/{cell}", {RATE: rate, "clip.threshold": 100 * rate, "seed": seed})
        for cell in ("lstm", "gru") for rate in (1e-2, 1e-3) for seed in (0, 1)
    ]  # fmt: skip
    write_plan(tmp_path / "sweep", plan, runs_dir="..")
    for name, changes in plan:
        write_run(tmp_path, name, changes, valid=0.1, test={"loss": 0.1})
    plain, swept = (settings(load_records(path)) for path in (tmp_path, tmp_path / "sweep"))
    assert [len(setting.records) for setting in plain] == [2] * 4
    assert {tuple(setting.values) for setting in plain} == {("cell.name", "clip.threshold")}
    assert {tuple(setting.values) for setting in swept} == {("cell.name", "clip.threshold", RATE)}
