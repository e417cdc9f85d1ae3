"""Every cell of the table keeps the contract: scan, gradients, gates, parameter count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.tree import tree_size
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.unroll import Unrolled, unroll
from tests.helpers.noisy_params import with_noise
from tests.helpers.variants import Variant, build, each_cell, variant_id

T, B, I, H = 7, 3, 4, 5  # noqa: E741


def make(variant: Variant, seed: int = 0) -> tuple[Cell, Params, Array]:
    """A cell, weights moved off their zeros, and a batch of inputs."""
    cell = build(variant, I, H)

    @jax.jit
    def drawn(key: Array) -> tuple[Params, Array]:
        key_init, key_noise, key_x = jax.random.split(key, 3)
        params = with_noise(cell.init(key_init), 0.1, key_noise)
        return params, jax.random.normal(key_x, (T, B, I))

    return cell, *drawn(jax.random.key(seed))


@each_cell
def test_a_step_keeps_structure_shapes_and_dtypes(variant: Variant) -> None:
    cell, params, x = make(variant)
    state = cell.init_state(params)
    leaves = []

    @jax.jit
    def step(params: Params, state: State, x: Array) -> tuple[State, Array]:
        new, y = cell.step(params, state, x)
        leaves.append(list(new))  # outside they are sorted
        return new, y

    new, y = step(params, state, x[0, 0])
    assert leaves == [list(state)]
    assert [(v.shape, v.dtype) for v in jax.tree.leaves(new)] == [
        (v.shape, v.dtype) for v in jax.tree.leaves(state)
    ]
    assert y.shape == (cell.output_size,)
    assert cell.hidden in cell.probed
    assert set(cell.probed) <= set(state)


@each_cell
def test_the_scan_is_traced_once_and_equals_a_python_loop(variant: Variant, x64: None) -> None:
    cell, params, x = make(variant)
    traces = []

    @jax.jit
    def run(params: Params, x: Array) -> Unrolled:
        traces.append(1)
        return unroll(cell, params, x)

    run(jax.tree.map(np.zeros_like, params), x)
    got = run(params, x)
    assert len(traces) == 1
    step = jax.jit(cell.step)
    for b in range(B):
        state = cell.init_state(params)
        for t in range(T):
            state, y = step(params, state, x[t, b])
            np.testing.assert_allclose(got.outputs_TxBxH[t, b], y, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(got.final_BxH[b], y, rtol=1e-12, atol=1e-14)
        for leaf, value in state.items():
            np.testing.assert_allclose(got.final_state[leaf][b], value, rtol=1e-12, atol=1e-14)


@each_cell
def test_gradients_equal_central_differences(variant: Variant, x64: None) -> None:
    cell, params, x = make(variant)
    weights = jax.random.normal(jax.random.key(9), (T, B, cell.output_size))
    flat, unravel = ravel_pytree(params)

    def loss(flat: Array) -> Array:
        return jnp.sum(weights * unroll(cell, unravel(flat), x).outputs_TxBxH)

    @jax.jit
    def both(flat: Array) -> tuple[Array, Array]:
        moves = 1e-6 * jnp.eye(len(flat))
        losses = jax.vmap(loss)(jnp.concatenate([flat[None] + moves, flat[None] - moves]))
        return jax.grad(loss)(flat), (losses[: len(flat)] - losses[len(flat) :]) / 2e-6

    gradient, numeric = both(flat)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-7)


@each_cell
def test_the_parameter_count_is_the_formula(variant: Variant) -> None:
    cell = build(variant, I, H)
    assert tree_size(jax.eval_shape(cell.init, jax.random.key(0))) == cell.parameter_count


@each_cell
def test_gates_lie_between_zero_and_one(variant: Variant) -> None:
    cell, params, x = make(variant)
    state = {k: v + 0.3 for k, v in cell.init_state(params).items()}
    gates = jax.jit(cell.gates)(params, state, x[0, 0])
    left_out = str(variant[1].get("without", "")).endswith("gate")
    least = {"lstm": 3 - left_out, "lstm_1997": 2, "gru": 2, "minimal_gated": 1}
    assert len(gates) >= least.get(variant[0], 0)
    for values in gates.values():
        assert values.shape == (H,) or cell.memory is not None  # whose heads have gates of theirs
        assert 0 < np.min(values) <= np.max(values) < 1


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        (("feedforward", {}), 10 * 16 + 16),
        (("rnn", {}), 10 * 16 + 16 * 16 + 16),
        (("lstm", {}), 4 * (10 * 16 + 16 * 16 + 16)),
        (("lstm", {"peepholes": True}), 4 * (10 * 16 + 16 * 16 + 16) + 3 * 16),
        (("gru", {"reset": "before"}), 3 * (10 * 16 + 16 * 16 + 16)),
        (("gru", {}), 3 * (10 * 16 + 16 * 16 + 16) + 16),
    ],
    ids=lambda v: variant_id(v) if isinstance(v, tuple) else str(v),
)
def test_counts_by_hand(variant: Variant, count: int) -> None:
    assert build(variant, 10, 16).parameter_count == count


@pytest.mark.parametrize(
    ("variant", "hidden", "count"),
    [
        (("lstm", {"peepholes": True}), 36, 19_836),
        (("rnn", {}), 100, 20_100),
    ],
    ids=["lstm", "tanh"],
)
def test_counts_of_chung_2014_table_1(variant: Variant, hidden: int, count: int) -> None:
    assert build(variant, 100, hidden).parameter_count == count
