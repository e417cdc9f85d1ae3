"""The memory that a lane is said to take, against what its program takes."""

from typing import Any

import jax
import pytest

from rnnexp.sweep.lane_memory import data_bytes, lane_bytes
from rnnexp.sweep.program_groups import chunk_arguments
from rnnexp.tasks.batches import source_arrays
from rnnexp.train.lanes import LaneLayout, spread_chunk
from tests.helpers.lane_plans import plan_of

REMAT_SCAN = {"model__remat_steps": 20, "model__kernel": "scan"}


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
    program: Any = spread_chunk(plan.recipe, LaneLayout())
    takes = program.lower(*chunk_arguments(plan)).compile().memory_analysis()
    state = takes.output_size_in_bytes
    assert 0.7 < lane_bytes(plan) / (takes.temp_size_in_bytes + state) < 1.3


def test_data_counts_every_split_once() -> None:
    plan = plan_of("digits/rnn")
    task = plan.recipe.task
    sets = [source_arrays(part) for part in (task.train, task.valid, task.test)]
    assert data_bytes(plan) == sum(leaf.nbytes for leaf in jax.tree.leaves(sets)) > 1797 * 64
    assert data_bytes(plan_of("adding/rnn")) == 0
