"""The run directory: its lock, JSON files and metrics, whole and damaged."""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.run import files
from rnnexp.run.files import (
    RunLog,
    closed_forms,
    last_line,
    read_closed_forms,
    read_json,
    read_metrics,
    read_status,
)


@pytest.fixture
def run_log(tmp_path: Path) -> Iterator[RunLog]:
    """A run's directory, locked."""
    with contextlib.closing(RunLog(tmp_path / "runs" / "a")) as log:
        yield log


def test_a_directory_has_one_owner(run_log: RunLog) -> None:
    code = "import sys, pathlib, rnnexp.run.files as r; r.RunLog(pathlib.Path(sys.argv[1])).close()"
    command = [sys.executable, "-c", code, str(run_log.path)]
    with pytest.raises(UsageError, match=rf"another process \(pid {os.getpid()} on "):
        RunLog(run_log.path)
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"UsageError: another process (pid {os.getpid()} on " in done.stderr
    run_log.close()
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match=r"cannot write the run directory .*/runs/a: Not a dir"):
        RunLog(tmp_path / "runs" / "a")


@pytest.mark.parametrize("content", [b'{"a": ', b'{"a": "\xff"}', b""])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    assert read_json(tmp_path / "status.json") is None
    (tmp_path / "status.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read .*status\.json"):
        read_json(tmp_path / "status.json")


@pytest.mark.parametrize(
    ("step", "kept"),
    [(None, ""), (0, "b0"), (2, "b0 t0 t1 v2"), (3, "b0 t0 t1 t2 v2"), (9, "b0 t0 t1 t2 t3 v2 v4")],
)
def test_metrics_are_cut_to_a_checkpoint(run_log: RunLog, step: int | None, kept: str) -> None:
    run_log.log("baseline", [{"step": 0, "loss": 0.1}])
    run_log.log("train", [{"step": n, "loss": math.nan if n == 1 else 1 / 3} for n in range(4)])
    for kind, at in [("valid", 2), ("valid", 4), ("test", 2)]:
        run_log.log(kind, [{"step": at, "loss": 0.2}])
    run_log.log("length", [{"step": 2, "length": 40, "loss": 0.3}])
    before = read_metrics(run_log.path)
    run_log.truncate(step)
    after = read_metrics(run_log.path)
    assert " ".join(f"{row['kind'][0]}{row['step']}" for row in after) == kept
    assert (len(before), all(row in before for row in after)) == (9, True)


def test_an_incomplete_last_line_is_left_out(run_log: RunLog) -> None:
    assert read_metrics(run_log.path) == []
    run_log.log("train", [{"step": n} for n in range(3)])
    file = run_log.path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    assert [row["step"] for row in read_metrics(run_log.path)] == [0, 1]
    run_log.truncate(3)
    run_log.log("train", [{"step": 2}])
    assert [row["step"] for row in read_metrics(run_log.path)] == [0, 1, 2]


@pytest.mark.parametrize("damage", [b'{"kind": "tr\n', b"\xff\xfe\n"])
def test_a_damaged_line_in_the_middle_is_named(run_log: RunLog, damage: bytes) -> None:
    run_log.log("train", [{"step": n} for n in range(3)])
    file = run_log.path / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + damage + lines[2])
    with pytest.raises(UsageError, match=r"metrics\.jsonl line 2 is damaged"):
        read_metrics(run_log.path)


@pytest.mark.parametrize("block", [7, 64, files.BLOCK])
@pytest.mark.parametrize("tail", ["", '{"kind": "train", "step": 9', "\n\n", "[]\n"])
def test_the_last_whole_line_of_a_kind_is_found_from_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, tail: str
) -> None:
    monkeypatch.setattr(files, "BLOCK", block)
    file = tmp_path / "metrics.jsonl"
    rows = [{"kind": "train", "step": step, "note": "x" * step} for step in range(40)]
    rows += [{"kind": "valid", "step": 40}] * 3
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    assert last_line(tmp_path, "train") == rows[39]
    assert last_line(tmp_path, "valid") == rows[-1]
    assert last_line(tmp_path, "test") is None
    assert last_line(tmp_path / "none", "train") is None


@pytest.mark.parametrize("tail", ["", '{"kind": "train"', "[]\n", '{"kind": "train", "step": 0}\n'])
def test_closed_forms_are_read_from_the_first_lines(tmp_path: Path, tail: str) -> None:
    assert read_closed_forms(tmp_path) == {}
    (tmp_path / "metrics.jsonl").write_text(
        '{"kind": "baseline", "step": 0, "loss": 0.5, "other": "Infinity", "time": 1.0}\n'
        '{"kind": "reference", "step": 0, "theirs/loss": 1, "time": 1.0}\n' + tail
    )
    expected = {"baseline": {"loss": 0.5, "other": math.inf}, "reference": {"theirs/loss": 1.0}}
    assert read_closed_forms(tmp_path) == expected
    if tail != "[]\n":
        assert closed_forms(read_metrics(tmp_path)) == expected


@pytest.mark.parametrize("length", ['"40"', "1.5", "null"])
def test_a_length_that_is_no_whole_number_is_named(run_log: RunLog, length: str) -> None:
    line = f'{{"kind": "length", "step": 2, "length": {length}, "loss": 0.3, "time": 1.0}}\n'
    (run_log.path / "metrics.jsonl").write_text(line)
    with pytest.raises(UsageError, match=r"line 1 is damaged: 'length' must be a whole number"):
        read_metrics(run_log.path)


@pytest.mark.parametrize(
    "change",
    [
        {"unit": 3}, {"train": [1]}, {"train": "1 to 4"}, {"test": [1]}, {"test": {"x": {}}},
        {"test": {"40": 0.1}}, {"test": {"40": {"loss": "low"}}}, {"baseline": None},
    ],
)  # fmt: skip
def test_damaged_scores_by_length_are_named(run_log: RunLog, change: dict[str, Any]) -> None:
    table = {"40": {"loss": 0.5}}
    sound = {"unit": "steps", "train": [1, 20], "test": table, "baseline": table}
    run_log.set_status("completed", 7, "", by_length=sound)
    assert (read_status(run_log.path) or {})["by_length"] == sound
    run_log.set_status("completed", 7, "", by_length=sound | change)
    with pytest.raises(UsageError, match="by_length must hold numbers by length"):
        read_status(run_log.path)
