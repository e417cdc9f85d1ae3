"""The command `list`: runs, experiments, cells and tasks."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnexp.cells import CELLS
from rnnexp.cli.main import main
from rnnexp.config.defaults import KEYS
from rnnexp.core.registry import MODES, Entry, Table
from rnnexp.tasks import TASKS
from tests.helpers.synthetic_runs import write_many
from tests.helpers.user_run import UserRun


def test_runs_are_listed(user_run: UserRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "runs", "--runs-dir", str(user_run.runs_dir), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["status"], row["step"]) == (str(user_run.path), "completed", 3)
    assert set(row["test"]) == {"loss"}
    assert (row["label"], row["keys"]["cell.name"], row["tags"]) == ("mycell", "mycell", [])
    assert main(["inspect", "mytask/mycel", "--runs-dir", str(user_run.runs_dir)]) == 2
    assert "Did you mean 'mytask/mycell'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "names"),
    [
        (
            "experiments",
            ["adding", "all that read sequences but narx", "all that read sequences", "hopfield"],
        ),
        ("cells", CELLS.builtin),
        ("tasks", TASKS.builtin),
    ],
)
def test_lists(what: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    table = capsys.readouterr().out
    assert main(["list", what, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    values = {value for row in rows for value in row.values()}
    assert set(names) <= values
    for value in values:
        assert value in table


def test_no_runs_is_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "runs", "--runs-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}\n"
    assert main(["list", "runs", "--runs-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_brackets_in_a_summary_are_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = "Leaks [draft], see [/notes]."
    monkeypatch.setitem(CELLS._entries, "mine", Entry("nowhere:mine", summary, MODES))
    assert main(["list", "cells"]) == 0
    assert summary in capsys.readouterr().out


@pytest.mark.parametrize(("what", "table"), [("cells", CELLS), ("tasks", TASKS)])
def test_options_are_listed(what: str, table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what, "--options", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    expected = {
        (name, *item) for name in table.builtin for item in table.entry(name).options().items()
    }
    assert {(row["name"], row["option"], row["default"]) for row in rows} == expected
    assert main(["list", what, "--options"]) == 0
    printed = " ".join(re.sub("[│┃]", " ", capsys.readouterr().out).split())
    for row in rows:
        assert f"{row['name']} {row['option']} " in printed


def test_options_of_a_cell_of_ones_own_are_listed(
    user_run: UserRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CELLS, "_entries", dict(CELLS._entries))
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))
    assert main(["list", "cells", "--options", "--json", "--import", str(user_run.file)]) == 0
    rows = json.loads(capsys.readouterr().out)
    mine = {"name": "mycell", "option": "leak", "default": 0.5, "meaning": ""}
    assert rows[-1] == mine


def test_only_cells_and_tasks_have_options(capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("runs", "experiments"):
        assert main(["list", what, "--options"]) == 2
        assert capsys.readouterr().err.startswith("rnnexp: --options goes with")


def test_keys_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "keys", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["key"] for row in rows} == {*KEYS}
    assert main(["list", "keys"]) == 0
    printed = capsys.readouterr().out
    assert all(f" {key} " in printed for key in KEYS)
    assert main(["list", "keys", "mnist/lstm", "--json"]) == 0
    (rate,) = (
        row
        for row in json.loads(capsys.readouterr().out)
        if row["key"] == "optimizer.learning_rate"
    )
    assert (rate["default"], rate["usual"], rate["changed_by"]) == (2e-3, 1e-3, "task")
    assert main(["list", "keys", "mnist/lstm"]) == 0
    printed = capsys.readouterr().out
    assert "0.001 (changed by" in printed
    assert "cell.forget_bias" in printed


def test_only_keys_are_those_of_an_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in {
        "cells adding/lstm": "TASK/CELL goes with `list keys`",
        "keys adding/lstmm": "Did you mean 'lstm'?",
        "keys adding": "named TASK/CELL",
        "keys --options": "--options goes with",
    }.items():
        assert main(["list", *words.split()]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_ten_thousand_runs_are_listed_in_three_seconds_and_again_in_one(tmp_path: Path) -> None:
    write_many(tmp_path, 10_000)
    seconds = []
    for _ in range(4):
        begin = time.monotonic()
        output = subprocess.run(
            [sys.executable, "-m", "rnnexp", "list", "runs", "--runs-dir", str(tmp_path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds.append(time.monotonic() - begin)
        assert output.stdout.count("-seed") == 10_000
    assert seconds[0] < 3
    assert min(seconds[1:]) < 1
