"""The flight recorder where something goes wrong: kills, full disks, no memory."""

import argparse
import json
import random
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray

from rnnexp.results.load import load_run
from rnnexp.run.divergence import recorder, store
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.divergence.window import WINDOW_STEPS
from rnnexp.run.files import read_json
from rnnexp.run.run import run
from rnnexp.train.compiled import Slots
from tests.helpers.diverging_runs import FAILS_AT_ONCE, config, flight_of
from tests.integration.test_resume import StopAt


def test_after_a_resume_the_window_begins_there_and_is_the_same(
    diverged: Path, tmp_path: Path
) -> None:
    failed = load_run(diverged).status["step"]
    stopped = run(config(), runs_dir=tmp_path, observer=StopAt(failed - 8))
    assert stopped.status == "interrupted"
    result = run(config(), runs_dir=tmp_path)
    assert (result.status, result.step) == ("diverged", failed)
    whole, part = flight_of(diverged), flight_of(result.path)
    assert part["step"].values.tolist() == list(range(stopped.step, failed + 1))
    assert part.attrs["origin"] == stopped.step
    for name, values in part.data_vars.items():
        if "gate_step" not in values.dims:
            shared = whole[name].isel({values.dims[0]: slice(-len(values), None)})
            np.testing.assert_array_equal(values.values, shared.values, err_msg=str(name))


def test_killed_after_its_last_checkpoint_a_run_keeps_the_longer_window(tmp_path: Path) -> None:
    path = run(config(), runs_dir=tmp_path).path
    before, status = flight_of(path), read_json(path / "status.json") or {}
    (path / "status.json").write_text(json.dumps(status | {"status": "running"}))
    again = run(config(), runs_dir=tmp_path)
    assert again.reason == status["reason"]
    assert again.details["divergence"]["growth"] == status["divergence"]["growth"]
    assert flight_of(path).identical(before)


def test_a_window_of_an_earlier_attempt_is_removed_when_the_run_goes_on(tmp_path: Path) -> None:
    stopped = run(config(), runs_dir=tmp_path, observer=StopAt(1))
    (stopped.path / store.NAME).mkdir()
    stopped = run(config(), runs_dir=tmp_path, observer=StopAt(30))
    assert stopped.status == "interrupted"
    assert not (stopped.path / store.NAME).exists()


@pytest.mark.parametrize("fault", ["no space", "an error"])
def test_a_window_that_cannot_be_written_is_a_warning(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    if fault == "no space":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: argparse.Namespace(free=10))
    else:
        monkeypatch.setattr(xarray.Dataset, "to_zarr", refuse)
    result = run(config(**FAILS_AT_ONCE), runs_dir=tmp_path)
    assert result.status == "diverged"
    assert result.details["divergence"]["growth"]["step"] == 1
    assert store.NAME in caplog.text
    assert {"no space": "are free on the disk", "an error": "No space left"}[fault] in caplog.text
    assert not list(result.path.glob("*divergence*"))


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
    """Slots that count their copies, without a program."""

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
    monkeypatch.setattr(recorder, "GateShares", lambda recipe: None)
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
    def full(self: Slots) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(Slots, "copied", full)
    result = run(config(**FAILS_AT_ONCE), runs_dir=tmp_path)
    assert result.status == "diverged"
    assert caplog.text.count("no memory for the flight recorder's copy") == 1
    assert flight_of(result.path)["step"].values.tolist() == [1]
