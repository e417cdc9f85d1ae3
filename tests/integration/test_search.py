"""A search whose processes are killed, or share its study, ends as the undisturbed one."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from rnnexp.core.errors import RunError
from rnnexp.results.index import load_records
from rnnexp.results.load import load_run
from rnnexp.sweep.plan import read_plan
from rnnexp.sweep.search.study import StudySummary
from tests.helpers.small_search import (
    KILLS,
    TRIALS,
    find,
    optuna,
    start,
    study_in,
    told,
    undisturbed_search,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudySummary]:
    """A random search by one process at a stretch."""
    return undisturbed_search(tmp_path_factory)


@pytest.mark.slow
def test_a_search_that_is_killed_again_and_again_is_the_undisturbed_one(
    undisturbed: tuple[Path, StudySummary],
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kill in KILLS:
        process = start(root, tmp_path, kill=kill)
        _, err = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, err.decode()
        assert any(trial.state.name == "RUNNING" for trial in study_in(tmp_path))
    with (tmp_path / "s" / "plan.jsonl").open("a") as stream:
        stream.write('{"run": "adding/rnn/of a process that was ki')
    lose_storage(tmp_path, monkeypatch)
    cancel = tmp_path / "s" / "cancel"
    stopped = find(tmp_path, on_run_end=lambda status: cancel.touch())
    assert stopped.stopped == "cancelled"
    cancel.unlink()
    found = find(tmp_path)
    assert found == undisturbed[1]
    assert told(tmp_path) == told(undisturbed[0])
    runs = [planned.run for planned in read_plan(tmp_path / "s")]
    assert sorted(runs) == sorted(planned.run for planned in read_plan(undisturbed[0] / "s"))
    for run in runs:
        rows = [(r["kind"], r["step"]) for r in load_run(tmp_path / run).metrics]
        alone = [(r["kind"], r["step"]) for r in load_run(undisturbed[0] / run).metrics]
        assert rows == alone
    assert list((tmp_path / "s" / "searchers").iterdir()) == []


def lose_storage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search whose database fails at the first validation interrupts its runs."""

    def fail(*arguments: Any, **keywords: Any) -> None:
        raise OperationalError("report", {}, Exception("server has gone away"))

    with monkeypatch.context() as patch:
        patch.setattr(optuna.trial.Trial, "report", fail)
        with pytest.raises(RunError, match=r"server has gone away.*same command resumes"):
            find(folder)
    statuses = [record.status for record in load_records(folder / "s")]
    assert "interrupted" in statuses
    assert "failed" not in statuses


def test_two_processes_share_a_study_and_its_number_of_trials(
    undisturbed: tuple[Path, StudySummary], tmp_path: Path, root: Path
) -> None:
    processes = [start(root, tmp_path, wait=True) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    assert told(tmp_path) == told(undisturbed[0])
    assert len({trial.user_attrs["searcher"] for trial in study_in(tmp_path)}) == 2
    last = max((json.loads(out) for out, _ in outputs), key=lambda f: f["counts"]["completed"])
    assert last["counts"] == {"completed": TRIALS}
    assert len(read_plan(tmp_path / "s")) == TRIALS
