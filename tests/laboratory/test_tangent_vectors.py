"""Tangent vectors: which there are, how often they are orthogonalised, those lost, memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.laboratory.lyapunov import Spectrum, autonomous_spectrum, lyapunov_spectrum, trusted
from rnnexp.laboratory.tangent_vectors import tangent_bytes
from tests.helpers.lyapunov_cells import KEY, closed_form, drive, gru, linear, rotation, weights
from tests.helpers.variants import build


@pytest.mark.parametrize("interval", [1, 3])
def test_a_delay_line_forgets_everything(interval: int, x64: None) -> None:
    cell = build(("tdnn", {"delay_steps": 3}), 2, 4)
    got = autonomous_spectrum(
        cell,
        weights(cell),
        steps=40,
        batch_size=2,
        warmup_steps=2,
        interval_steps=interval,
        key=KEY,
    )
    np.testing.assert_array_equal(got.exponents_K, np.full(4 + 3 * 4 + 3 * 2, -np.inf))
    for value in (got.error_K, got.drift_K, got.lost_K, got.kaplan_yorke):
        np.testing.assert_array_equal(value, 0)
    assert bool(jnp.all(trusted(got)))


def test_a_nilpotent_part_leaves_the_other_exponents_right(x64: None) -> None:
    matrix = np.diag([0.0, 0, 0, 0.9, 0.5]) + np.diag([1.0, 1, 0, 0], 1)
    got = closed_form(matrix)
    want = np.array([np.log(0.9), np.log(0.5), -np.inf, -np.inf, -np.inf])
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


def test_a_unit_that_goes_out_for_one_step_leaves_the_slower_ones_right(x64: None) -> None:
    cell, params = linear(np.diag([0.9, 0.6, 0.3]), "relu", b=1.0)
    x = jnp.zeros((300, 1, 3)).at[200, 0, 1].set(-50.0)
    got = lyapunov_spectrum(cell, params, x, warmup_steps=100, key=KEY)
    want = np.array([np.log(0.9), np.log(0.3), -np.inf])
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


def test_the_largest_few_exponents_are_the_first_of_all(x64: None) -> None:
    cell, params, x = gru()
    all_ = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    few = lyapunov_spectrum(cell, params, x, count=3, warmup_steps=600, key=KEY)
    assert few.exponents_K.shape == (3,)
    np.testing.assert_allclose(few.exponents_K, all_.exponents_K[:3], rtol=1e-7)


def test_the_interval_between_orthogonalisations_does_not_matter(x64: None) -> None:
    cell, params, x = gru()
    one = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    # three steps more fill no interval: they come first, and the last 600 are kept as before
    longer = jnp.concatenate([jnp.ones((3, 2, 2)), x])
    five = lyapunov_spectrum(
        cell, params, longer, warmup_steps=600, interval_steps=5, key=jax.random.key(8)
    )
    np.testing.assert_allclose(five.exponents_K, one.exponents_K, rtol=1e-6)


def test_a_vector_lost_between_orthogonalisations_is_said_to_be() -> None:
    turn = rotation(2)
    cell, params = linear((turn @ np.array([[1.0, 0.0], [0.7, 0.2]]) @ turn.T).astype(np.float32))
    fine, coarse = (
        lyapunov_spectrum(
            cell, params, drive(cell, 400), warmup_steps=100, interval_steps=steps, key=KEY
        )
        for steps in (2, 20)
    )
    np.testing.assert_allclose(fine.exponents_K, np.log([1.0, 0.2]), atol=1e-5)
    assert np.asarray(trusted(fine)).tolist() == [True, True]
    np.testing.assert_array_equal(coarse.exponents_K[1], -np.inf)
    assert np.asarray(trusted(coarse)).tolist() == [True, False]


def test_a_counter_may_be_left_out(x64: None) -> None:
    cell = build(("clockwork", {}), 2, 4)
    params, x = weights(cell), drive(cell, 240)
    all_, rest = (
        lyapunov_spectrum(cell, params, x, warmup_steps=120, key=KEY, leave_out=leave_out)
        for leave_out in ((), ("t",))
    )
    np.testing.assert_allclose(all_.exponents_K[0], 0, atol=1e-12)
    np.testing.assert_allclose(rest.exponents_K, all_.exponents_K[1:], rtol=1e-7)


def counted(cell: Cell) -> tuple[Cell, list[int]]:
    """The cell, and a list that grows whenever its transition is traced."""
    traces: list[int] = []

    def transition(params: Params, state: State, x_I: Array) -> State:
        traces.append(1)
        return cell.transition(params, state, x_I)

    return dataclasses.replace(cell, transition=transition), traces


def test_a_second_call_does_not_trace_again_and_lanes_agree() -> None:
    cell, traces = counted(build(("gru", {}), 2, 3))
    first, second = weights(cell, 0.4), weights(cell, 0.8)
    x = drive(cell, 60, 2)

    def run(params: Params) -> Spectrum:
        return lyapunov_spectrum(cell, params, x, warmup_steps=20, key=KEY)

    alone = [run(first)]
    before = len(traces)
    alone.append(run(second))
    assert len(traces) == before > 0
    both = jax.vmap(run)(jax.tree.map(lambda *p: jnp.stack(p), first, second))
    for lane in range(2):
        np.testing.assert_allclose(both.exponents_K[lane], alone[lane].exponents_K, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "hidden", "count"),
    [("lstm", 48, None), pytest.param("gru", 128, 16, marks=pytest.mark.slow)],
)
def test_the_stated_memory_is_what_the_program_takes(
    name: str, hidden: int, count: int | None
) -> None:
    cell = build((name, {}), 2, hidden)
    params, x = weights(cell), drive(cell, 60, 4)

    @jax.jit
    def run(params: Params, x: Array) -> Spectrum:
        return lyapunov_spectrum(cell, params, x, count=count, warmup_steps=20, key=KEY)

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    analysis = run.lower(params, x).compile().memory_analysis()
    jax.config.update("jax_disable_most_optimizations", before)
    assert analysis is not None
    assert (
        0.5
        < analysis.temp_size_in_bytes / tangent_bytes(cell, params, 4, count, jnp.float32)
        <= 1.0
    )
