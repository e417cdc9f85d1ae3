"""The flight recorder: the steps before a divergence, computed again to the bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.results.load import load_run
from rnnexp.run.divergence import window
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.divergence.window import WINDOW_STEPS
from rnnexp.run.run import run
from rnnexp.sweep.lanes import train_lanes
from rnnexp.sweep.plan import PlannedRun, planned
from rnnexp.sweep.program_groups import group_runs
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


def test_what_is_recorded_of_a_step_is_what_the_run_logged(diverged: Path) -> None:
    data, logged = flight_of(diverged), load_run(diverged)
    rows = {row["step"]: row for row in logged.metrics if row["kind"] == "train"}
    shared = [int(step) for step in data["step"].values if int(step) in rows]
    assert len(shared) >= 11
    for step in shared:
        at = data.sel(step=step)
        for name in data["scalar"].values:
            np.testing.assert_array_equal(
                float(at["scalars"].sel(scalar=name)), float(rows[step][name])
            )
        number = logged.steps.tolist().index(step)
        np.testing.assert_array_equal(at["dL_dh"].values, logged.norms["h"][number])
    names = data["parameter"].values.tolist()
    gradients = data["scalars"].sel(scalar=[f"grad_norm/{name}" for name in names])
    np.testing.assert_array_equal(data["gradient_norm"].values, gradients.values)
    first = data["state.params.stack.layers.0.w_h"].values[0]
    found = float(data["parameter_norm"].sel(parameter="stack/layers/0/w_h")[0])
    assert found == pytest.approx(np.sqrt(np.sum(first.astype(np.float64) ** 2)))


def test_the_verdict_says_where_growth_began(diverged: Path) -> None:
    status = load_run(diverged).status
    growth = status["divergence"]["growth"]
    assert json.loads(flight_of(diverged).attrs["growth"]) == growth
    assert (growth["unit"], growth["leaf"], growth["lag"]) == ("layer_0", "h", 11 - growth["time"])
    assert f"growth began at step {growth['step']} in layer_0" in status["reason"]
    data = flight_of(diverged)
    largest_N = data["dL_dh"].max(("unit", "time")).values
    onset = data["step"].values.tolist().index(growth["step"])
    assert largest_N[onset:].min() > largest_N[:onset].min()
    assert growth["gate"]["gate"] in data["gate"].values.tolist()
    assert data["gate_step"].values.tolist() == [
        data["step"].values[0],
        growth["step"],
        status["step"],
    ]


def test_a_window_begins_with_the_run(tmp_path: Path) -> None:
    of_run = config(**FAILS_AT_ONCE)
    result = run(of_run, runs_dir=tmp_path)
    assert (result.status, result.step) == ("diverged", 1)
    data = flight_of(result.path)
    assert data["step"].values.tolist() == [0, 1]
    assert data.attrs["exact"] is True
    assert_states_of_the_run(data, of_run)


def test_of_large_states_the_first_and_the_last_are_kept(
    diverged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "STATE_BYTES", 1000)
    data = flight_of(run(config(), runs_dir=tmp_path).path)
    whole = flight_of(diverged)
    steps = whole["step"].values
    assert data["step"].values.tolist() == steps.tolist()
    assert data["state_step"].values.tolist() == [steps[0], steps[-1]]
    name = "state.params.stack.layers.0.w_h"
    np.testing.assert_array_equal(data[name].values, whole[name].values[[0, -1]])
    np.testing.assert_array_equal(data["scalars"], whole["scalars"])
    assert np.isfinite(data["parameter_norm"].values[[0, -1]]).all()
    assert np.isnan(data["parameter_norm"].values[1:-1]).all()


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
