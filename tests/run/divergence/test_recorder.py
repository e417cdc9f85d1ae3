"""The flight recorder: the steps before a divergence, computed again to the bit."""

import argparse
import random
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from rnnexp.results.load import load_run
from rnnexp.run.divergence import recorder
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.divergence.window import WINDOW_STEPS
from rnnexp.run.run import run
from rnnexp.sweep.lanes import train_lanes
from rnnexp.sweep.plan import PlannedRun, planned
from rnnexp.sweep.program_groups import group_runs
from rnnexp.train.compiled import LaneStates
from tests.helpers.diverging_runs import (
    FAILS_AT_ONCE,
    assert_states_of_the_run,
    config,
    flight_of,
    printed,
)
from tests.helpers.small_run import assert_same_runs


def test_the_recorded_states_are_those_of_the_run_taken_step_by_step(diverged: Path) -> None:
    data = flight_of(diverged)
    last = load_run(diverged).status["step"]
    assert data["step"].values.tolist() == list(range(last - WINDOW_STEPS, last + 1))
    assert data["state_step"].values.tolist() == data["step"].values.tolist()
    assert data.attrs["exact"] is True
    assert_states_of_the_run(data, config())


def test_a_window_begins_with_the_run(tmp_path: Path) -> None:
    of_run = config(**FAILS_AT_ONCE)
    result = run(of_run, runs_dir=tmp_path)
    assert (result.status, result.step) == ("diverged", 1)
    data = flight_of(result.path)
    assert data["step"].values.tolist() == [0, 1]
    assert data.attrs["exact"] is True
    assert_states_of_the_run(data, of_run)


def lanes_of(*changes: dict[str, Any]) -> list[PlannedRun]:
    configs = [config(**change) for change in changes]
    groups = group_runs(configs)
    assert len(set(groups)) == 1
    return [planned(c, g, {}) for c, g in zip(configs, groups, strict=True)]


SOUND: list[dict[str, Any]] = [
    {"seed": seed, "optimizer__learning_rate": 0.01, "train__duration_steps": 150}
    for seed in (1, 2)
]


@pytest.mark.parametrize("width", [1, 2])
def test_a_lane_is_recorded_exactly_and_its_neighbours_do_not_notice(
    width: int, diverged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = lanes_of(SOUND[0], {}, SOUND[1])
    train_lanes(runs, runs_dir=tmp_path / "recorded", data_dir=None, width=width)
    data = flight_of(tmp_path / "recorded" / runs[1].run)
    last = int(data["step"][-1])
    assert data["step"].values.tolist() == list(range(last - WINDOW_STEPS, last + 1))
    assert data.attrs["exact"] is True
    assert data.attrs["lanes"] == width
    if width == 1:
        alone = flight_of(diverged)
        assert data.drop_attrs().identical(alone.drop_attrs())
    monkeypatch.setattr(Recorder, "keep", lambda self, standing: None)
    train_lanes(runs, runs_dir=tmp_path / "without", data_dir=None, width=width)
    assert len(flight_of(tmp_path / "without" / runs[1].run)["step"]) == 1
    for planned_run, change in ((runs[0], SOUND[0]), (runs[2], SOUND[1])):
        one, two = (tmp_path / kind / planned_run.run for kind in ("recorded", "without"))
        assert_same_runs(one, two, config(**change))
    assert printed(tmp_path / "recorded" / runs[1].run)["replay"]["identical"]


STREAM = {
    "cell__hidden_size": 6,
    "task__window_steps": 8,
    "train__batch_size": 4,
    "cell__activation": "linear",
    "optimizer__learning_rate": 1.0,
}


@pytest.mark.parametrize("kind", ["stream", "epochs", "devices"])
def test_epochs_carried_states_and_several_devices_are_recorded_exactly(
    kind: str, tmp_path: Path
) -> None:
    if kind == "stream":
        (tmp_path / "text.txt").write_text("".join(chr(97 + n * n % 11) for n in range(800)))
        of_run = config("char_lm/rnn", task__file=str(tmp_path / "text.txt"), **STREAM)
    elif kind == "epochs":
        of_run = config("digits/rnn", train__batch_size=100, optimizer__learning_rate=1e37)
    else:
        of_run = config(devices=2)
    result = run(of_run, runs_dir=tmp_path)
    assert result.status == "diverged"
    assert result.step > 20
    data = flight_of(result.path)
    assert data.attrs["exact"] is True
    assert len(data["step"]) == min(result.step, WINDOW_STEPS) + 1
    assert_states_of_the_run(data, of_run)
    assert printed(result.path)["replay"]["identical"]


def test_a_run_without_a_recorder_makes_the_same_files(
    diverged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "keep", lambda self, standing: None)
    path = run(config(), runs_dir=tmp_path).path
    left, right = load_run(path), load_run(diverged)
    for rows in (left.metrics, right.metrics):
        for row in rows:
            row.pop("time")
    assert left.metrics == right.metrics
    np.testing.assert_array_equal(left.norms["h"], right.norms["h"])


def test_a_window_that_does_not_lead_to_the_run_s_own_state_says_so(
    diverged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keep = Recorder.keep

    def keep_another(self: Recorder, standing: Any) -> None:
        keep(self, standing)
        for kept in self._kept:
            kept.state.params["readout"]["bias"] += 1e-3

    monkeypatch.setattr(Recorder, "keep", keep_another)
    path = run(config(), runs_dir=tmp_path).path
    assert "did not lead to the run's own state" in caplog.text
    data, true = flight_of(path), flight_of(diverged)
    assert data.attrs["exact"] is False
    assert data["step"].values[-1] == true["step"].values[-1]
    last = data.isel(step=-1)
    np.testing.assert_array_equal(last["scalars"], true.isel(step=-1)["scalars"])
    np.testing.assert_array_equal(last["dL_dh"], true.isel(step=-1)["dL_dh"])
    assert not np.array_equal(data["scalars"].values[0], true["scalars"].values[0])


class StandingSlots:
    """Lanes whose copies are counted, without a program."""

    def __init__(self, lanes: int):
        self.programs = argparse.Namespace(
            layout=argparse.Namespace(lanes=lanes),
            plan=argparse.Namespace(recipe=None),
        )

    def copied(self) -> dict[str, jax.Array]:
        return {}


@pytest.mark.parametrize("seed", range(5))
def test_copies_always_reach_back_far_enough_and_are_few(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "GateFractions", lambda recipe: None)
    draw, lanes = random.Random(seed), 3
    kept = Recorder(StandingSlots(lanes))  # type: ignore[arg-type]
    steps, starts = [0] * lanes, [0] * lanes
    for slot in range(lanes):
        kept.enter(slot)
    most = draw.choice([1, 7, 31, 33, 100])
    for _ in range(400):
        kept.keep(dict(enumerate(steps)))
        assert len(kept._kept) <= 2 + 2 * lanes
        for slot in range(lanes):
            taken = draw.randint(0, most) or 1
            for failed in (steps[slot], steps[slot] + taken - 1):
                number = kept._number(slot, failed)
                assert number is not None
                copy = kept._kept[number]
                assert copy.steps[slot] == starts[slot] or copy.steps[slot] <= failed - WINDOW_STEPS
                assert starts[slot] <= copy.steps[slot] <= failed
            steps[slot] += taken
        if draw.random() < 0.05:  # a run ends and another takes its slot, from a checkpoint
            slot = draw.randrange(lanes)
            steps[slot] = starts[slot] = draw.randint(0, 500)
            kept.enter(slot)


def test_without_memory_for_a_copy_the_last_step_is_still_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: LaneStates) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(LaneStates, "copied", full)
    result = run(config(**FAILS_AT_ONCE), runs_dir=tmp_path)
    assert result.status == "diverged"
    assert caplog.text.count("no memory for the flight recorder's copy") == 1
    assert flight_of(result.path)["step"].values.tolist() == [1]
