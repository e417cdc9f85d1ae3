"""The pass over all runs: what is read anew, what is believed of the cache, what is of a sweep."""

import fcntl
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from rnnexp.config.schema import flat
from rnnexp.core.errors import UsageError
from rnnexp.results import index
from rnnexp.results.index import INDEX, load_records, read_index
from rnnexp.results.listing import runs as list_rows
from rnnexp.results.summary import Record, read_record
from tests.helpers.synthetic_runs import FIRST_NS, SECOND_NS, write_many, write_plan, write_run

MANY = index.WORTHWHILE + 20


def note_reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From here on runs that are read anew are noted in the list that is returned."""
    noted: list[str] = []

    def noting(root: str, run: str, mtime_ns: int) -> Record | None:
        noted.append(run)
        return read_record(root, run, mtime_ns)

    monkeypatch.setattr(index, "read_record", noting)
    return noted


def change_status(path: Path, **changes: Any) -> None:
    content = json.loads((path / "status.json").read_text()) | changes
    (path / "status.json").write_text(json.dumps(content))


def test_records_hold_what_the_files_hold(tmp_path: Path) -> None:
    names = write_many(tmp_path, 30)
    records = read_index(tmp_path)
    assert [record.run for record in records] == names
    for number, record in enumerate(records):
        path = tmp_path / record.run
        status = json.loads((path / "status.json").read_text())
        assert record.path == str(path)
        assert (record.status, record.step, record.reason) == (
            status["status"], status["step"], status["reason"],
        )  # fmt: skip
        assert record.test == status.get("test", {})
        assert record.best is not None
        assert record.best._asdict() == status["best"]
        assert record.keys == flat(ConfigDict(json.loads((path / "config.json").read_text())))
        assert record.mtime_ns == FIRST_NS + number * SECOND_NS


def test_a_second_pass_reads_no_run_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(tmp_path, MANY)
    cold = read_index(tmp_path)
    assert (tmp_path / INDEX).exists()
    noted = note_reading(monkeypatch)
    warm = read_index(tmp_path)
    assert noted == []
    assert warm == cold
    assert [list(record.keys) for record in warm] == [list(record.keys) for record in cold]
    assert list_rows(tmp_path)[1]["test"] == {"loss": 0.101}


def test_values_come_back_from_the_cache_with_their_types(tmp_path: Path) -> None:
    for seed in range(MANY):
        value = [1, 1.0, True, "1", None, [1], [1.0], 0, False][seed % 9]
        write_run(tmp_path, changes={"seed": seed, "task.length_steps": value}, age=seed)
    cold, warm = (
        [repr(record.keys["task.length_steps"]) for record in read_index(tmp_path)]
        for _ in range(2)
    )
    assert warm == cold
    assert len(set(warm)) == 9


def test_new_changed_and_deleted_runs_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write_many(tmp_path, MANY)
    read_index(tmp_path)
    noted = note_reading(monkeypatch)
    change_status(tmp_path / names[3], status="failed", reason="disk full")
    config = tmp_path / names[4] / "config.json"
    config.write_text(config.read_text().replace('"batch_size": 64', '"batch_size": 65'))
    for file in ("status.json", "config.json"):
        (tmp_path / names[5] / file).unlink()
    added = write_run(tmp_path, changes={"seed": 99}, age=MANY)
    records = {record.run: record for record in read_index(tmp_path)}
    assert set(records) == {*names, added} - {names[5]}
    assert set(noted) == {names[3], names[4], added}
    assert records[names[3]].reason == "disk full"
    assert records[names[4]].keys["train.batch_size"] == 65


def test_a_file_that_changes_within_the_resolution_of_its_time_is_seen(tmp_path: Path) -> None:
    names = write_many(tmp_path, MANY)
    for name in names:
        os.utime(tmp_path / name / "status.json")
    read_index(tmp_path)
    file = tmp_path / names[1] / "status.json"
    stamp, text = file.stat(), file.read_text()
    changed = text.replace("0.101", "0.202")
    assert len(changed) == len(text) != text.count("0.202")
    file.write_text(changed)
    os.utime(file, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
    assert {r.run: r for r in read_index(tmp_path)}[names[1]].test == {"loss": 0.202}


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage", "empty", "format", "binary"])
def test_a_damaged_cache_is_built_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_many(tmp_path, MANY)
    expected = read_index(tmp_path)
    file = tmp_path / INDEX
    content = file.read_bytes()
    file.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "flip": content.replace(b'"loss":0.101', b'"loss":0.901'),
            "garbage": b"[1, 2, 3]\n[]",
            "empty": b"",
            "format": content.replace(b'"format": %d' % index.FORMAT, b'"format": 0'),
            "binary": bytes(range(256)),
        }[damage]
    )
    with caplog.at_level(logging.INFO, "rnnexp"):
        assert read_index(tmp_path) == expected
    assert [INDEX in record.message for record in caplog.records] == [True]
    assert file.read_bytes() == content


def test_without_a_place_for_the_cache_everything_works_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system")

    names = write_many(tmp_path, MANY)
    monkeypatch.setattr(index, "replace_text", refuse)
    with caplog.at_level(logging.INFO, "rnnexp"):
        for _ in range(3):
            assert [record.run for record in read_index(tmp_path)] == names
    assert [record.message for record in caplog.records] == [
        f"cannot write {tmp_path / INDEX} (Read-only file system): listing runs stays slow"
    ]
    assert not (tmp_path / INDEX).exists()


def test_a_cache_that_another_process_is_writing_is_left_to_it(tmp_path: Path) -> None:
    names = write_many(tmp_path, MANY)
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert [record.run for record in read_index(tmp_path)] == names
    assert not (tmp_path / INDEX).exists()
    os.close(handle)
    read_index(tmp_path)
    assert (tmp_path / INDEX).exists()


def test_a_damaged_run_is_tried_again_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write_many(tmp_path, MANY)
    file = tmp_path / names[2] / "status.json"
    file.write_text("{")
    os.utime(file, ns=(FIRST_NS, FIRST_NS))
    read_index(tmp_path)
    noted = note_reading(monkeypatch)
    assert [record.status for record in read_index(tmp_path)].count("damaged") == 1
    assert noted == [names[2]]


def test_several_processes_list_at_once(tmp_path: Path) -> None:
    names = write_many(tmp_path, 4 * MANY)
    program = (
        "import sys; from pathlib import Path; from rnnexp.results.index import read_index\n"
        "for turn in range(6):\n"
        "    print([record.run for record in read_index(Path(sys.argv[1]))])\n"
        "    (Path(sys.argv[1]) / '.index.json').unlink(missing_ok=True) if turn < 5 else None"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert output.splitlines() == [str(names)] * 6
    assert len(json.loads((tmp_path / INDEX).read_text().partition("\n")[2])["runs"]) == len(names)


def test_few_runs_get_no_cache(tmp_path: Path) -> None:
    names = write_many(tmp_path, 5)
    assert [record.run for record in read_index(tmp_path)] == names
    assert {path.name for path in tmp_path.iterdir()} == {"adding", "copy_memory"}


def test_named_runs_are_read_alone_and_leave_the_rest_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write_many(tmp_path, 2 * MANY)
    read_index(tmp_path, only=names[:MANY])
    read_index(tmp_path, only=names[MANY:])
    noted = note_reading(monkeypatch)
    some = [names[5], "adding/lstm/none-seed0", names[2]]
    assert [record.run for record in read_index(tmp_path, only=some)] == [names[5], names[2]]
    assert len(read_index(tmp_path)) == 2 * MANY
    assert noted == []


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
