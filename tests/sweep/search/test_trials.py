"""Trials of a search: processes share them, take over those of the dead, and keep decisions."""

from pathlib import Path
from typing import Any

import pytest

from rnnexp.run.callbacks import RunResult
from tests.helpers.small_search import EVERY, optuna, trials_in


def test_machines_that_ask_in_the_same_moment_make_no_trial_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, die_here), (there, die_there) = (trials_in(tmp_path, s, 1) for s in ("here", "there"))
    ask = here.study.ask
    runs = []

    def late() -> Any:
        runs.append(there.next_run())
        return ask()

    monkeypatch.setattr(here.study, "ask", late)
    assert here.next_run() is None
    assert [run is not None for run in runs] == [True]
    assert [trial.number for trial in here.all()] == [0]
    assert there.next_run() is None
    assert len(here.study.get_trials()) == 2
    die_here()
    die_there()


def test_trials_of_a_dead_process_are_taken_over_in_its_directory_only(tmp_path: Path) -> None:
    first, die = trials_in(tmp_path, "here", 2)
    run = first.next_run()
    assert run is not None
    (same, die_same), (other, die_other) = (trials_in(tmp_path, s, 1) for s in ("here", "there"))
    assert same.next_run() is None
    die()
    assert other.next_run() is None
    again = same.next_run()
    assert again is not None
    assert again.run == run.run
    assert len(same.all()) == 1
    die_same()
    die_other()


def test_a_trial_that_died_before_it_had_values_gets_those_of_its_number(tmp_path: Path) -> None:
    undisturbed, die_there = trials_in(tmp_path / "other", "here", 1)
    expected = undisturbed.next_run()
    first, die = trials_in(tmp_path, "here", 1)
    assert first._ask() is not None
    die()
    second, die_here = trials_in(tmp_path, "here", 1)
    run = second.next_run()
    assert run is not None
    assert run == expected
    assert [trial.number for trial in second.all()] == [0]
    die_here()
    die_there()


def test_a_decision_to_prune_outlives_its_process(tmp_path: Path) -> None:
    first, die = trials_in(tmp_path, "here", 2, "asha")
    good, bad = (run.run for run in (first.next_run(), first.next_run()) if run is not None)
    assert first.should_prune(good, EVERY, 0.1, last=False) is None
    reason = first.should_prune(bad, EVERY, 0.9, last=False)
    assert reason == "by asha after step 5: validation loss 0.9"
    die()
    second, die_here = trials_in(tmp_path, "here", 2, "asha")
    assert {run.run for run in (second.next_run(), second.next_run()) if run is not None} == {
        good,
        bad,
    }
    assert second.should_prune(bad, EVERY, 0.9, last=False) == reason
    assert second.should_prune(good, EVERY, 0.1, last=False) is None
    die_here()


def test_a_trial_that_is_ended_from_outside_stops_its_run_alone(tmp_path: Path) -> None:
    trials, die = trials_in(tmp_path, "here", 2)
    runs = [run.run for run in (trials.next_run(), trials.next_run()) if run is not None]
    trials.study.tell(0, state=optuna.trial.TrialState.FAIL)
    reasons = [trials.should_prune(run, EVERY, 0.5, last=False) for run in runs]
    assert reasons == ["trial 0 was ended from outside", None]
    trials.on_run_end(runs[0], RunResult(tmp_path / runs[0], "pruned", EVERY, str(reasons[0])))
    assert [trial.state.name for trial in trials.all()] == ["FAIL", "RUNNING"]
    die()
