"""The flight recorder: the steps before a divergence, computed again to the bit."""

import argparse
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from ml_collections import FrozenConfigDict

from rnnexp.cells.lstm import lstm
from rnnexp.commands.divergence import divergence_command
from rnnexp.config import experiment, finish
from rnnexp.crew import Crew
from rnnexp.errors import UsageError
from rnnexp.flight import recorder, store, window
from rnnexp.flight.gates import unit_shares
from rnnexp.flight.recorder import Recorder
from rnnexp.flight.window import WINDOW_STEPS
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.stack import Unit
from rnnexp.programs import Programs, Slots, initial_state
from rnnexp.registry import make_plan
from rnnexp.report.load import load_run
from rnnexp.runlog import read_json
from rnnexp.runner import CHUNK_STEPS, run
from rnnexp.sweep.groups import group_runs
from rnnexp.sweep.lanes import train_lanes
from rnnexp.sweep.plan import PlannedRun, planned
from rnnexp.trees import named_leaves
from rnnexp.unroll import Watched, unroll
from tests.small_run import assert_same_runs
from tests.test_resume import StopAt

KEYS: dict[str, Any] = {
    "task.length_steps": 12,
    "cell.hidden_size": 6,
    "train.batch_size": 8,
    "train.duration_steps": 150,
    "eval.every_steps": 30,
    "eval.examples": 16,
    "eval.batch_size": 16,
    "checkpoint.every_steps": 25,
    "record.every_steps": 3,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1.2,
    "optimizer.warmup_steps": 60,
    "clip.name": "none",
}
FAILS_AT_ONCE: dict[str, Any] = {"optimizer.learning_rate": 1e30, "optimizer.warmup_steps": 0}


def config(name: str = "adding/gru", **changes: Any) -> FrozenConfigDict:
    """A small run whose learning rate grows until it diverges, after more than 50 steps."""
    experiment_ = experiment(name)
    for unit in ("steps", "epochs", "examples"):
        experiment_.train[f"duration_{unit}"] = experiment_.eval[f"every_{unit}"] = None
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    keys = {k: v for k, v in (KEYS | changes).items() if k != "task.length_steps" or "add" in name}
    experiment_.update_from_flattened_dict(keys)
    return finish(experiment_)


def flight_of(path: Path) -> xarray.Dataset:
    """What a run recorded, in memory."""
    with xarray.open_zarr(path / store.NAME) as data:
        loaded: xarray.Dataset = data.load()
        return loaded


def growth_of(path: Path) -> Any:
    return (read_json(path / "status.json") or {})["divergence"]["growth"]


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that diverged after more than 50 steps."""
    result = run(config(), runs_dir=tmp_path_factory.mktemp("diverged"))
    assert result.status == "diverged"
    assert result.step > 50
    return result.path


def assert_states_of_the_run(data: xarray.Dataset, of_run: FrozenConfigDict) -> None:
    """Every recorded state is that of the program stepped one step at a time, to the bit."""
    plan = make_plan(of_run, data_dir=None, chunk_steps=CHUNK_STEPS)
    slots = Slots(Programs(plan))
    slots.put(0, plan, initial_state(plan))
    steps = data["state_step"].values.tolist()
    for step in range(steps[-1] + 1):
        slots.settle()
        if step in steps:
            lane = slots.lane(slots.state, 0)
            for name, leaf in named_leaves(lane).items():
                stored = data[f"state.{name.replace('/', '.')}"].values[steps.index(step)]
                np.testing.assert_array_equal(stored, leaf, err_msg=f"{name}, step {step}")
                assert stored.dtype == leaf.dtype
        slots.alone(0, step + 1, plan.record_steps)
    assert slots.diverged() == [True]


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


def printed(path: Path) -> Any:
    """What `inspect --divergence --json` finds, without printing it."""
    import io
    from contextlib import redirect_stdout

    with redirect_stdout(io.StringIO()) as out:
        known = argparse.Namespace(run=str(path), runs_dir=path.parent, json=True)
        assert divergence_command(known) == 0
    return json.loads(out.getvalue())


STREAM = {
    "cell__hidden_size": 6,
    "task__window_steps": 8,
    "train__batch_size": 4,
    "optimizer__learning_rate": 1e37,
}


@pytest.mark.parametrize("kind", ["stream", "epochs", "devices"])
def test_epochs_carried_states_and_several_devices_are_recorded_exactly(
    kind: str, tmp_path: Path
) -> None:
    if kind == "stream":
        (tmp_path / "text.txt").write_text("".join(chr(97 + n * n % 11) for n in range(800)))
        of_run = config("char_lm/lstm", task__file=str(tmp_path / "text.txt"), **STREAM)
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
        assert len(kept._kept) <= 4
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


def test_gate_shares_are_those_of_the_cell_stepped_by_hand(x64: None) -> None:
    steps, batch, padded = 5, 3, 7
    layer = Recurrent(lstm(2, 4, forget_bias=2.0), jax.random.key(0))
    x_TxBxI = 4.0 * jax.random.normal(jax.random.key(1), (steps, batch, 2))
    lengths = [5, 2, 0]
    lengths_B = jnp.asarray(lengths, jnp.int32)
    run_ = unroll(layer.cell, layer.params(), x_TxBxI, lengths_B=lengths_B, keep_states=True)
    assert run_.states is not None
    start = {k: jnp.zeros((batch, 4)) for k in ("c", "h")}
    seen = Watched(x_TxBxI, start, run_.states)
    for backward in (False, True):
        got = unit_shares(Unit("layer_0", layer, backward), seen, lengths_B, padded)
        expected = np.zeros((2, steps))
        for b, length in enumerate(lengths):
            state = {k: jnp.zeros(4) for k in ("c", "h")}
            for t in range(length):
                values = layer.cell.gates(layer.params(), state, x_TxBxI[t, b])["forget"]
                place = length - 1 - t if backward else t
                expected[0, place] += float(np.mean(np.asarray(values) < 0.1))
                expected[1, place] += float(np.mean(np.asarray(values) > 0.9))
                state = dict(layer.cell.transition(layer.params(), state, x_TxBxI[t, b]))
        expected /= [sum(t < length for length in lengths) for t in range(steps)]
        assert (expected > 0).any()
        assert np.isnan(got["forget"][:, :2]).all()
        np.testing.assert_allclose(got["forget"][:, 2:], expected, rtol=1e-12)


def test_the_command_explains_and_replays(
    diverged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = argparse.Namespace(run=str(diverged), runs_dir=diverged.parent, json=False)
    assert divergence_command(known) == 0
    out = capsys.readouterr().out
    status = load_run(diverged).status
    assert status["reason"] in out
    assert "they led to the run's own state, bit for bit" in out
    assert f"replayed step {status['step']}: identical" in out
    data = printed(diverged)
    assert data["divergence"]["growth"] == status["divergence"]["growth"]
    assert len(data["steps"]) == WINDOW_STEPS + 1
    row = data["steps"][-2]
    norms = flight_of(diverged)["dL_dh"].values[-2]
    assert row["largest"] == float(norms.max())
    assert norms[0, row["time"]] == norms.max()


def test_the_command_names_what_another_machine_computes_otherwise(
    diverged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "copy"
    shutil.copytree(diverged, path)
    data = flight_of(path)
    row = data["scalar"].values.tolist().index("grad_norm")
    data["scalars"][-1, row] *= 1 + 1e-6
    data["dL_dh"][-1, 0, 3] *= 1.01
    shutil.rmtree(path / store.NAME)
    with pytest.warns(UserWarning, match="Consolidated"):
        data.to_zarr(path / store.NAME)
    known = argparse.Namespace(run=str(path), runs_dir=tmp_path, json=False)
    assert divergence_command(known) == 0
    out = capsys.readouterr().out
    assert f": 2 of {printed(path)['replay']['compared']} numbers differ" in out
    assert "grad_norm: recorded" in out
    assert "dL_dh[0, 3]: recorded" in out


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[Path], str]]:
    """The error that the command gives for a run."""

    def message(path: Path) -> str:
        with pytest.raises(UsageError) as caught:
            divergence_command(argparse.Namespace(run=str(path), runs_dir=path.parent, json=False))
        return str(caught.value)

    yield message
    assert capsys.readouterr().out == ""


def test_the_command_refuses_runs_that_have_not_diverged_or_recorded_nothing(
    refused: Callable[[Path], str], diverged: Path, tmp_path: Path
) -> None:
    path = run(config(), runs_dir=tmp_path, observer=StopAt(1)).path
    assert refused(path) == f"{path} has not diverged: its status is interrupted"
    older = tmp_path / "older"
    shutil.copytree(diverged, older)
    shutil.rmtree(older / store.NAME)
    assert "has no divergence.zarr" in refused(older)


def test_the_command_refuses_states_of_another_model(
    refused: Callable[[Path], str], diverged: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(diverged, other)
    saved = read_json(other / "config.json") or {}
    saved["cell"]["hidden_size"] = 7
    (other / "config.json").write_text(json.dumps(saved))
    assert "the run's model needs state.params" in refused(other)


def test_every_crew_keeps_states() -> None:
    plan = make_plan(config(), data_dir=None, chunk_steps=2)
    crew = Crew(Programs(plan), lambda: None, lambda result, error: None)
    assert isinstance(crew.recorder, Recorder)
