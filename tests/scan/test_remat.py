"""Rematerialisation needs less memory, and keeps what is recorded."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.tree import tree_bytes
from rnnexp.scan.kernels.build import problem as build_problem
from rnnexp.scan.remat import segment_length
from rnnexp.scan.unroll import TimeLoop, unroll
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import make_plan
from rnnexp.train.step import train_step
from tests.helpers.small_run import small_config
from tests.helpers.structured_models import KEY, I
from tests.helpers.variants import build


def step_bytes(name: str, time_loop: TimeLoop) -> float:
    """What value and gradient of a cell of 64 units take at T = 1024, B = 8, in states; the
    gradient of the weights is left out."""
    cell = build((name, {}), I, 64)
    params, x = cell.init(jax.random.key(0)), jnp.zeros((1024, 8, I))
    loss = lambda p: jnp.sum(unroll(cell, p, x, time_loop=time_loop).final_BxH)  # noqa: E731
    analysis = jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis()
    assert analysis is not None
    taken = analysis.temp_size_in_bytes - tree_bytes(params)
    return float(taken / (8 * tree_bytes(cell.init_state(params))))


def test_rematerialisation_needs_less_memory() -> None:
    assert step_bytes("lstm", TimeLoop(remat_steps=32)) < step_bytes("lstm", TimeLoop()) / 4


@pytest.mark.skipif(build_problem("lstm", "float32") != "", reason="no C++ compiler")
@pytest.mark.parametrize(("name", "kept"), [("lstm", 3), ("gru", 5), ("rnn", 1)])
def test_rematerialised_kernels_hold_the_states_between_segments_and_one_segment(
    name: str, kept: int
) -> None:
    """T / k states, and k times what the kernel keeps of a step: LSTM its four gates, c and h,
    GRU three gates, the candidate's share of h, and h."""
    wanted = 1024 / 16 + kept * 16
    taken = step_bytes(name, TimeLoop(kernel=True, remat_steps=16))
    assert wanted <= taken < 1.2 * wanted


@pytest.mark.parametrize(
    ("steps", "remat_steps", "length"),
    [(784, 28, 28), (1020, 31, 30), (997, 31, 31), (10, 9, 9), (7, 1, 1), (11, 4, 3), (12, 5, 4)],
)
def test_segments_leave_little_over(steps: int, remat_steps: int, length: int) -> None:
    assert segment_length(steps, remat_steps) == length


@pytest.mark.parametrize("kernel", ["scan", "auto"])
def test_recording_keeps_no_adjoints_where_states_are_computed_again(kernel: str) -> None:
    def recorded(remat_steps: int) -> tuple[Any, int]:
        changes: dict[str, Any] = {
            "task.length_steps": 400,
            "model.num_layers": 1,
            "cell.hidden_size": 16,
        }
        changes |= {"model.remat_steps": remat_steps, "model.kernel": kernel}
        plan = make_plan(small_config(**changes), data_dir=None, chunk_steps=1)
        batch = plan.recipe.task.train.draw(KEY, 8)  # type: ignore[union-attr]
        step = jax.jit(partial(train_step, plan.recipe, record=True))
        given = (initial_state(plan), batch, plan.hyper, KEY)
        compiled = step.lower(*given).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return compiled(*given).norms, int(analysis.temp_size_in_bytes)

    (all_kept, most), (few_kept, least) = recorded(0), recorded(20)
    assert least < most / 4
    for leaf, norms_LxT in all_kept.items():
        np.testing.assert_allclose(few_kept[leaf], norms_LxT, rtol=1e-4)
