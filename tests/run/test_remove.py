"""Runs are deleted and moved whole, and never while a process works in them."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.results.index import read_index
from rnnexp.run.files import RunLog
from rnnexp.run.remove import ARCHIVE, delete_run, move_run
from tests.helpers.synthetic_runs import write_run


def test_a_run_is_deleted_whole(tmp_path: Path) -> None:
    kept, gone = (tmp_path / write_run(tmp_path, changes={"seed": seed}) for seed in range(2))
    (gone / "checkpoints" / "last").mkdir(parents=True)
    (gone / "checkpoints" / "last" / "data").write_text("x")
    delete_run(gone)
    assert [p.name for p in gone.parent.iterdir()] == [kept.name]
    with pytest.raises(UsageError, match="is not a run's directory"):
        delete_run(gone)


def test_a_run_is_put_away_and_brought_back(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    move_run(tmp_path / run, tmp_path / ARCHIVE / run)
    assert read_index(tmp_path) == []
    assert [record.run for record in read_index(tmp_path / ARCHIVE)] == [run]
    again = write_run(tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        move_run(tmp_path / ARCHIVE / run, tmp_path / again)
    delete_run(tmp_path / again)
    move_run(tmp_path / ARCHIVE / run, tmp_path / run)
    assert [record.run for record in read_index(tmp_path)] == [run]


def test_a_run_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / write_run(tmp_path)
    files = RunLog(path)
    for change in (lambda: delete_run(path), lambda: move_run(path, tmp_path / "elsewhere")):
        with pytest.raises(UsageError, match="is being trained or changed by a process"):
            change()
    files.close()
    assert (path / "status.json").exists()
    delete_run(path)


def test_only_a_run_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / write_run(tmp_path)
    (link := tmp_path / "link").symlink_to(path)
    (folder := tmp_path / "folder").mkdir()
    (folder / "status.json").write_text("{}")
    for place, words in ((link, "is a link"), (folder, "is not a run's directory")):
        with pytest.raises(UsageError, match=words):
            delete_run(place)
    assert (path / "status.json").exists()
    assert folder.exists()
