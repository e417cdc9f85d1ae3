"""Lists of runs: damaged, killed and waiting ones, plain tables, and how long it takes."""

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rnnexp.cli.plain import plain_table
from rnnexp.core.errors import UsageError
from rnnexp.results.index import WORTHWHILE, load_records, read_index
from rnnexp.results.listing import runs as list_rows
from rnnexp.results.load import find_run, list_runs
from tests.helpers.synthetic_runs import write_many, write_plan, write_run

DAMAGES = {
    "cut": ("status.json", '{"status": "compl'),
    "empty": ("status.json", ""),
    "list": ("status.json", "[]"),
    "no step": ("status.json", '{"status": "completed", "reason": ""}'),
    "status": ("status.json", '{"status": 3, "step": 1, "reason": ""}'),
    "test": ("status.json", '{"status": "completed", "step": 1, "reason": "", "test": 3}'),
    "score": ("status.json", '{"status": "completed", "step": 1, "reason": "", "test": {"a": {}}}'),
    "best": ("status.json", '{"status": "completed", "step": 1, "reason": "", "best": {}}'),
    "config": ("config.json", "{"),
    "no config": ("config.json", None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_hides_no_other(tmp_path: Path, damage: str) -> None:
    names = write_many(tmp_path, 3)
    name, content = DAMAGES[damage]
    file = tmp_path / names[1] / name
    file.unlink() if content is None else file.write_text(content)
    (tmp_path / "adding" / "notes.txt").write_text("a file among folders")
    (tmp_path / "adding" / "lstm" / "empty").mkdir()
    records = {record.run: record for record in read_index(tmp_path)}
    assert set(records) == set(names)
    assert [records[name].status for name in names] == ["diverged", "damaged", "completed"]
    assert records[names[1]].keys == {"task.name": "copy_memory", "cell.name": "lstm"}
    rows = {row["run"]: row for row in list_rows(tmp_path)}
    assert rows[str(tmp_path / names[1])]["test"] == records[names[1]].reason != ""


def test_scores_that_are_not_finite_are_read(tmp_path: Path) -> None:
    name = write_run(tmp_path, test={"loss": 1.0})
    file = tmp_path / name / "status.json"
    scores = {"loss": "NaN", "other": "Infinity"}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"test": scores}))
    record = read_index(tmp_path)[0]
    assert str(record.test) == "{'loss': nan, 'other': inf}"


def test_a_running_run_is_told_from_a_killed_one(tmp_path: Path) -> None:
    for seed in range(WORTHWHILE):
        write_run(tmp_path, changes={"seed": seed}, status="running", age=seed)
    for path in list_runs(tmp_path):
        (path / "lock").touch()
    held = list_runs(tmp_path)[7]
    for _ in range(2):
        with (held / "lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            states = {record.path: record.status for record in read_index(tmp_path)}
        assert states.pop(str(held)) == "running"
        assert set(states.values()) == {"killed (the same command resumes)"}
    assert read_index(tmp_path)[7].status.startswith("killed")


def test_no_runs_are_no_error(tmp_path: Path) -> None:
    assert read_index(tmp_path / "none") == []
    assert list_rows(tmp_path) == []
    with pytest.raises(UsageError, match="no runs in"):
        find_run("adding/lstm", tmp_path)


def test_a_sweep_s_runs_in_the_order_of_its_plan(tmp_path: Path) -> None:
    plan: list[tuple[str, dict[str, Any]]] = [
        (f"adding/{cell}", {"optimizer.learning_rate": rate, "seed": 0})
        for cell in ("lstm", "gru")
        for rate in (1e-2, 1e-3)
    ]
    names = write_plan(tmp_path / "sweeps" / "first", plan)
    assert write_run(tmp_path, *plan[3], valid=0.2, test={"loss": 0.1}) == names[3]
    assert write_run(tmp_path, *plan[1]) == names[1]
    (tmp_path / names[1] / "status.json").write_text("{")
    write_run(tmp_path, "copy_memory/rnn")  # of no sweep
    records = load_records(tmp_path / "sweeps" / "first")
    assert [record.run for record in records] == names
    states = ["waiting", "damaged", "waiting", "completed"]
    assert [record.status for record in records] == states
    assert [record.keys["optimizer.learning_rate"] for record in records] == [1e-2, 1e-3] * 2
    assert {record.swept for record in records} == {
        ("cell.name", "optimizer.learning_rate", "seed")
    }
    assert len(load_records(tmp_path)) == 3


def test_what_is_no_directory_of_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no runs"):
        load_records(tmp_path / "none")
    sweep = tmp_path / "sweep"
    write_plan(sweep, [("adding/lstm", {"seed": 0}), ("adding/lstm", {"seed": 1})])
    lines = (sweep / "plan.jsonl").read_text().splitlines()
    for bad in ('{"run": ', "[]", '{"run": "a/b/c"}'):
        (sweep / "plan.jsonl").write_text(f"{lines[0]}\n{bad}\n")
        with pytest.raises(UsageError, match=r"plan\.jsonl line 2 is damaged"):
            load_records(sweep)
    (sweep / "sweep.json").unlink()
    with pytest.raises(UsageError, match=r"sweep\.json does not say where the runs are"):
        load_records(sweep)


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


def test_listing_runs_imports_nothing_slow() -> None:
    program = "import sys, rnnexp.results.listing; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    slow = {"jax", "flax", "numpy", "pandas", "xarray", "matplotlib", "ml_collections", "zarr"}
    assert slow & set(output.stdout.split()) == set()


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
