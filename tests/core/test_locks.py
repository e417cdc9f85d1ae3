"""Locks keep two apart; where a file system has none, work is refused with the remedy."""

import errno
import fcntl
import json
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.core import locks
from rnnexp.core.errors import UsageError
from rnnexp.run.files import shown_status
from rnnexp.run.run import run
from tests.helpers.small_run import small_config


@pytest.fixture(params=locks.UNSUPPORTED)
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, as on many clusters."""

    def refuse(file: object, how: int) -> None:
        raise OSError(request.param, "No locks available")

    locks._say_unlocked.cache_clear()
    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_lock_keeps_two_apart(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with file.open("a") as one, file.open("a") as two:
        assert locks.try_lock(one, file)
        assert not locks.try_lock(two, file)
        assert not locks.try_lock(two, file, shared=True)
        locks.unlock(one)
        assert locks.try_lock(two, file, shared=True)
        assert locks.try_lock(one, file, shared=True)
        assert not locks.try_lock(one, file)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_work_is_refused_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "lock"
    with file.open("a") as stream:
        with pytest.raises(UsageError, match=r"cannot lock .*RNNEXP_NO_LOCKS=1"):
            locks.try_lock(stream, file)
        monkeypatch.setenv("RNNEXP_NO_LOCKS", "1")
        assert locks.try_lock(stream, file)
        locks.wait_for_lock(stream, file)
        assert caplog.text.count("is not locked (RNNEXP_NO_LOCKS=1)") == 1
        with pytest.raises(UsageError, match=r"on another file system$"):
            locks.try_lock(stream, file, needed=True)


def test_other_errors_are_not_taken_for_missing_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: object, how: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with (tmp_path / "lock").open("a") as stream, pytest.raises(OSError, match="Input/output"):
        locks.try_lock(stream, "lock")


def test_a_run_without_locks_is_refused_in_one_line_or_trains_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(train__duration_steps=20)
    made = run(config, runs_dir=tmp_path / "made").path

    def refuse(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for command in (
        ["run", "adding/rnn", "--runs-dir", str(tmp_path / "runs")],
        ["analyze", str(made), "--again"],
    ):
        assert main(command) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert "its file system has no locks (No locks available)" in lines[-1]
        assert not any("Traceback" in line for line in lines)
    status = json.loads((made / "status.json").read_text())
    assert shown_status(made, "running") == "running (cannot see its lock)"
    monkeypatch.setenv("RNNEXP_NO_LOCKS", "1")
    assert run(config, runs_dir=tmp_path / "other").status == status["status"]
    assert shown_status(made, "running") == "running (cannot see its lock)"
