"""Lanes: each is the run that it would be alone, whatever happens beside it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from rnnexp.cells import cell as register
from rnnexp.config.schema import experiment, finish
from rnnexp.core.tree import named_leaves
from rnnexp.results.load import load_run
from rnnexp.run.run import run
from rnnexp.sweep.lanes import train_lanes
from rnnexp.sweep.plan import planned as plan_run
from rnnexp.tasks import TASKS
from rnnexp.train.compiled import LaneStates, Programs, initial_state
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import Plan, make_lane, make_plan
from rnnexp.train.step_metrics import Records
from tests.helpers import hostile
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.planned_runs import small_runs
from tests.helpers.small_run import assert_same_runs, small_config

CHANGES: list[dict[str, Any]] = [
    {"seed": 1},
    {"seed": 2, "optimizer__learning_rate": 0.01},
    {"seed": 1, "clip__threshold": 0.05},
    {"seed": 3, "cell__forget_bias": 0.0},
    {"seed": 4, "optimizer__learning_rate": 1e-5},
]
DIVERGING = {"seed": 5, "optimizer__learning_rate": 1e38}


@pytest.fixture(scope="module")
def solo(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The directory of a small run made alone; each is made once."""
    runs_dir = tmp_path_factory.mktemp("solo")

    def made(**changes: Any) -> Path:
        return run(small_config(**changes), runs_dir=runs_dir).path

    return made


@pytest.mark.parametrize(
    "all_changes",
    [
        pytest.param(CHANGES, id="all", marks=pytest.mark.slow),
        pytest.param(CHANGES[:2], id="two", marks=pytest.mark.as_users),
    ],
)
def test_a_lane_on_its_own_device_is_the_solo_run_bit_for_bit(
    solo: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    all_changes: list[dict[str, Any]],
) -> None:
    runs = small_runs(*all_changes)
    ends: list[str] = []
    with caplog.at_level("INFO", "rnnexp"):
        train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=1, on_run_end=ends.append)
    assert ends == ["completed"] * len(runs)
    assert "2 devices, 1 side by side on each" in caplog.text
    assert "compilations of the training program: 1" in caplog.text
    for planned, changes in zip(runs, all_changes, strict=True):
        alone = solo(**changes)
        assert_same_runs(alone, tmp_path / planned.run, small_config(**changes))
        assert names_in(alone) == names_in(tmp_path / planned.run)


def names_in(run_dir: Path) -> set[str]:
    """What lies in a run's directory, down to the checkpoints' numbers."""
    return {str(p.relative_to(run_dir)) for p in run_dir.glob("*")} | {
        str(p.relative_to(run_dir)) for p in run_dir.glob("checkpoints/*/*")
    }


def test_lanes_side_by_side_are_the_solo_runs_within_rounding(
    solo: Callable[..., Path], tmp_path: Path
) -> None:
    runs = small_runs(*CHANGES)
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=3)
    for planned, changes in zip(runs, CHANGES, strict=True):
        alone, lane = load_run(solo(**changes)), load_run(tmp_path / planned.run)
        for kind in ("train", "valid", "test"):
            steps, values = alone.curve(kind, "loss")
            steps_lane, values_lane = lane.curve(kind, "loss")
            np.testing.assert_array_equal(steps, steps_lane)
            np.testing.assert_allclose(values, values_lane, rtol=2e-4)
        np.testing.assert_allclose(alone.norms["h"], lane.norms["h"], rtol=2e-3, atol=1e-7)


@pytest.mark.slow
def test_lanes_are_tested_at_every_length_as_the_solo_run_is(
    solo: Callable[..., Path], tmp_path: Path
) -> None:
    few: dict[str, Any] = {
        "eval__lengths": (7, 20), "model__num_layers": 1, "train__duration_steps": 4,
        "optimizer__warmup_steps": 0,
    }  # fmt: skip
    runs = small_runs({"seed": 1, **few}, {"seed": 2, **few})
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=1)
    one, two = (load_run(tmp_path / planned.run).status["by_length"] for planned in runs)
    assert two == load_run(solo(seed=2, **few)).status["by_length"]
    assert list(one["test"]) == ["7", "20"]
    assert one["test"] != two["test"]


@pytest.mark.parametrize("width", [1, 2])
def test_a_diverged_lane_changes_nothing_beside_it(tmp_path: Path, width: int) -> None:
    sound = [{"seed": 1}, {"seed": 2}, {"seed": 3}]
    alone = small_runs(*sound)
    train_lanes(alone, runs_dir=tmp_path / "without", data_dir=None, width=width)
    with_it = small_runs(sound[0], DIVERGING, *sound[1:])
    ends: list[str] = []
    train_lanes(
        with_it, runs_dir=tmp_path / "with", data_dir=None, width=width, on_run_end=ends.append
    )
    assert sorted(ends) == ["completed"] * 3 + ["diverged"]
    for planned, changes in zip(alone, sound, strict=True):
        assert_same_runs(
            tmp_path / "without" / planned.run,
            tmp_path / "with" / planned.run,
            small_config(**changes),
        )


def test_a_diverged_lane_says_where_as_the_solo_run_does(
    solo: Callable[..., Path], tmp_path: Path
) -> None:
    runs = small_runs({"seed": 1}, DIVERGING)
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=1)
    assert_same_runs(solo(**DIVERGING), tmp_path / runs[1].run, small_config(**DIVERGING))
    status = json.loads((tmp_path / runs[1].run / "status.json").read_text())
    assert status["status"] == "diverged"
    assert "non-finite" in status["reason"]


def test_a_run_that_cannot_begin_or_go_on_is_recorded_and_the_rest_completes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = small_runs({"seed": 1}, {"seed": 2}, {"seed": 3}, {"seed": 4})
    runs[1].config["optimizer"]["learning_rate"] = -1.0
    blocked = tmp_path / runs[2].run
    blocked.mkdir(parents=True)
    (blocked / "gradients.zarr").write_text("a file where a folder has to be")
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=1)
    found = [json.loads((tmp_path / r.run / "status.json").read_text()) for r in runs]
    assert [s["status"] for s in found] == ["completed", "failed", "failed", "completed"]
    assert "config.optimizer.learning_rate must be positive" in found[1]["reason"]
    assert found[2]["reason"]
    assert caplog.text.count("failed") >= 2


@pytest.mark.usefixtures("own_tables")
def test_the_fault_of_a_users_cell_is_the_reason_of_its_runs(tmp_path: Path) -> None:
    wrong = hostile.cell(parameter_count=1)
    register("own")(lambda input_size, hidden_size: wrong)
    TASKS.register("mine", modes=("synchronous",))(lambda: hostile.task())
    only = plan_run(finish(experiment("mine/own")), 0, {})
    train_lanes([only], runs_dir=tmp_path, data_dir=None)
    status = json.loads((tmp_path / only.run / "status.json").read_text())
    assert (status["status"], status["step"]) == ("failed", 0)
    assert status["reason"].startswith("cell 'own': parameter_count is 1, expected 45, the size of")


def test_lanes_that_end_early_make_room(tmp_path: Path) -> None:
    stopping = {"early_stopping__patience": 1, "optimizer__name": "sgd"}
    changes = [
        {**stopping, "seed": s, "optimizer__learning_rate": 10.0 ** -(s % 4)} for s in range(6)
    ]
    runs = small_runs(*changes)
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=1)
    steps = [json.loads((tmp_path / r.run / "status.json").read_text())["step"] for r in runs]
    assert len(set(steps)) > 1
    for planned, change in list(zip(runs, changes, strict=True))[-2:]:
        alone = run(small_config(**change), runs_dir=tmp_path / "solo")
        assert_same_runs(alone.path, tmp_path / planned.run, small_config(**change))


def configured(name: str, **changes: Any) -> FrozenConfigDict:
    """A small experiment of any task."""
    config = experiment(name)
    values = {"cell.hidden_size": 4, "train.batch_size": 4} | changes
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in values.items()})
    return finish(config)


def advance(programs: Programs, plans: list[Plan], stop: int) -> tuple[list[Any], list[Records]]:
    """All plans on a program's lanes from their starts to `stop`, every other step recorded."""
    slots = LaneStates(programs)
    for slot, plan in enumerate(plans):
        slots.put(slot, plan, initial_state(plan))
    slots.launch([stop] * len(plans), [2] * len(plans))
    return slots.states(), slots.records()


@pytest.mark.parametrize(
    ("name", "changes", "layouts"),
    [
        ("digits/gru", {}, [LaneLayout(1, 2)]),
        ("date_format/gru", {"task__examples": 60}, [LaneLayout(2, 1), LaneLayout(1, 2)]),
        (
            "adding/lstm",
            {
                "model__num_layers": 2,
                "model__dropout": 0.3,
                "model__recurrent_dropout": 0.3,
                "task__length_steps": 9,
            },
            [LaneLayout(2, 2)],
        ),
    ],
)
def test_every_kind_of_source_and_noise_trains_on_lanes(
    name: str, changes: dict[str, Any], layouts: list[LaneLayout], x64: None
) -> None:
    most = max(layout.lanes for layout in layouts)
    configs = [configured(name, **changes, seed=seed) for seed in range(most)]
    first = make_plan(configs[0], data_dir=None, chunk_steps=6)
    plans = [make_lane(first, config) for config in configs]
    solo = Programs(first)
    expected = [advance(solo, [plan], 5) for plan in plans]
    for layout in layouts:
        states, records = advance(Programs(first, layout), plans[: layout.lanes], 5)
        for lane, state in enumerate(states):
            assert_same_lane(state, records[lane], expected[lane][0][0], expected[lane][1][0])


def test_a_lane_that_waits_beside_others_stays_as_it_is(x64: None) -> None:
    """Adam would move it even without a gradient."""
    configs = [configured("adding/rnn", task__length_steps=5, seed=seed) for seed in (0, 1)]
    first = make_plan(configs[0], data_dir=None, chunk_steps=8)
    plans = [make_lane(first, config) for config in configs]
    solo = Programs(first)
    slots = LaneStates(Programs(first, LaneLayout(1, 2)))
    for slot, plan in enumerate(plans):
        slots.put(slot, plan, initial_state(plan))
    slots.launch([2, 5], [2, 2])
    slots.launch([7, 5], [2, 2])
    for plan, state, stop in zip(plans, slots.states(), (7, 5), strict=True):
        ((alone,), _) = advance(solo, [plan], stop)
        assert int(state.step) == stop
        for path, leaf in named_leaves(alone.params).items():
            np.testing.assert_allclose(named_leaves(state.params)[path], leaf, rtol=1e-9)


def assert_same_lane(state: Any, records: Records, alone: Any, expected: Records) -> None:
    """Parameters and recorded profiles equal to those of the solo run, in float64."""
    leaves = named_leaves(state.params)
    for path, leaf in named_leaves(alone.params).items():
        np.testing.assert_allclose(leaves[path], leaf, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(records.recorded, expected.recorded)
    rows = np.flatnonzero(expected.recorded)
    for name, norms in expected.norms.items():
        np.testing.assert_allclose(records.norms[name][rows], norms[rows], rtol=1e-8, atol=1e-14)


def test_a_share_of_dropout_is_a_value_and_does_what_it_says(x64: None) -> None:
    base = {"model__num_layers": 2, "task__length_steps": 9}
    plan = make_plan(
        configured("adding/lstm", **base, model__dropout=0.5), data_dir=None, chunk_steps=4
    )
    other = make_lane(plan, configured("adding/lstm", **base, model__dropout=0.2))
    program = Programs(plan)
    slots = LaneStates(program)
    slots.put(0, other, initial_state(other))
    slots.launch([4], [1])
    own = Programs(make_plan(other.config, data_dir=None, chunk_steps=4))
    expected, _ = own.advance(initial_state(other), 4, 1)
    for path, leaf in named_leaves(expected.params).items():
        np.testing.assert_allclose(named_leaves(slots.states()[0].params)[path], leaf, rtol=1e-9)
    mine, _ = program.advance(initial_state(plan), 4, 1)
    change = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), mine.params, expected.params)
    assert max(map(float, jax.tree.leaves(change))) > 1e-6
