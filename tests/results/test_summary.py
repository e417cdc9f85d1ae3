"""The record of a run: of damaged, odd, running and killed ones."""

import fcntl
import json
from pathlib import Path

import pytest

from rnnexp.results.index import WORTHWHILE, read_index, scan
from rnnexp.results.listing import runs as list_rows
from tests.helpers.synthetic_runs import write_many, write_run

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
    assert rows[str(tmp_path / names[1])]["reason"] == records[names[1]].reason != ""


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
    paths = [tmp_path / run for run, _ in scan(tmp_path)]
    for path in paths:
        (path / "lock").touch()
    held = paths[7]
    for _ in range(2):
        with (held / "lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            states = {record.path: record.status for record in read_index(tmp_path)}
        assert states.pop(str(held)) == "running"
        assert set(states.values()) == {"killed (the same command resumes)"}
    assert read_index(tmp_path)[7].status.startswith("killed")
