"""What a run is said to cost, against what it does cost."""

from pathlib import Path
from typing import Any

import jax
import pytest

from rnnexp.config.schema import experiment, finish
from rnnexp.sweep import lane_timing
from rnnexp.sweep.lane_memory import data_bytes, lane_bytes
from rnnexp.sweep.lane_timing import Times, choose_width, time_lane_step
from rnnexp.sweep.program_groups import chunk_arguments
from rnnexp.tasks.batches import source_arrays
from rnnexp.train.lanes import Layout, spread_chunk
from rnnexp.train.plan import Plan, make_plan

REMAT_SCAN = {"model__remat_steps": 20, "model__kernel": "scan"}


def plan_of(name: str, **changes: Any) -> Plan:
    """The plan of an experiment with changed keys."""
    config = experiment(name)
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return make_plan(finish(config), data_dir=None, chunk_steps=10)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("copy_memory/lstm", {"task__delay_steps": 200}),
        ("digits/rnn", {}),
        ("reverse/lstm", {}),
        ("adding/gru", {"model__newton": "full", "cell__hidden_size": 32}),
        ("adding/lstm", {"task__length_steps": 784, "model__remat_steps": 14}),
        ("copy_memory/rnn", {"task__delay_steps": 400, **REMAT_SCAN}),
    ],
)
def test_memory_counted_from_shapes_is_what_the_compiled_program_takes(
    name: str, changes: dict[str, Any]
) -> None:
    plan = plan_of(name, **changes)
    program: Any = spread_chunk(plan.recipe, Layout())
    takes = program.lower(*chunk_arguments(plan)).compile().memory_analysis()
    state = takes.output_size_in_bytes
    assert 0.7 < lane_bytes(plan) / (takes.temp_size_in_bytes + state) < 1.3


def test_data_counts_every_split_once() -> None:
    plan = plan_of("digits/rnn")
    task = plan.recipe.task
    sets = [source_arrays(part) for part in (task.train, task.valid, task.test)]
    assert data_bytes(plan) == sum(leaf.nbytes for leaf in jax.tree.leaves(sets)) > 1797 * 64
    assert data_bytes(plan_of("adding/rnn")) == 0


def test_times_are_measured_once_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = plan_of("adding/rnn", task__length_steps=5, cell__hidden_size=4)
    first = Times(plan, 2).lane_step(1)
    assert first > 0
    monkeypatch.setattr(lane_timing, "time_lane_step", lambda *_: pytest.fail("measured again"))
    assert Times(plan, 2).lane_step(1) == first
    [file] = (tmp_path / "rnnexp" / "lanes").iterdir()
    file.write_text("no JSON")
    monkeypatch.setattr(lane_timing, "time_lane_step", lambda *_: 7.0)
    with caplog.at_level("INFO", "rnnexp"):
        assert Times(plan, 2).lane_step(1) == 7.0
    assert "measuring again" in caplog.text


def test_a_step_takes_longer_where_there_is_more_to_do() -> None:
    short = time_lane_step(plan_of("adding/rnn", task__length_steps=5), Layout(2, 1))
    long = time_lane_step(plan_of("adding/rnn", task__length_steps=500), Layout(2, 1))
    assert long > 3 * short


@pytest.mark.parametrize(
    ("milliseconds", "runs", "width"),
    [
        ({1: 10.0, 4: 12.0}, 100, 1),  # slower side by side
        ({1: 10.0, 4: 3.0, 16: 2.0, 64: 1.99}, 1000, 16),  # ever wider until it brings nothing
        ({1: 10.0, 4: 3.0}, 4, 2),  # no wider than there are runs
        ({1: 10.0, 4: 3.0, 16: None}, 1000, 4),  # 16 do not fit
        ({1: 10.0}, 2, 1),  # nothing to choose
    ],
)
def test_the_width_is_the_fastest_that_was_measured(
    milliseconds: dict[int, float | None],
    runs: int,
    width: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def timed(plan: Plan, layout: Layout) -> float:
        if (value := milliseconds[layout.width]) is None:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return value

    monkeypatch.setattr(lane_timing, "time_lane_step", timed)
    plan = plan_of("adding/rnn", task__length_steps=5, cell__hidden_size=4)
    assert choose_width(plan, devices=2, runs=runs) == width


def test_what_is_soon_over_is_not_worth_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lane_timing, "PATIENCE", 1e9)
    plan = plan_of("adding/rnn", task__length_steps=5, cell__hidden_size=4)
    with caplog.at_level("INFO", "rnnexp"):
        assert choose_width(plan, devices=2, runs=10) == 1
    assert "not worth measuring" in caplog.text
