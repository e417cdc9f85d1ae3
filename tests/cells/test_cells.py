"""Every cell of the table: contract, scan, gradients, parameter count, initial weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.tree import tree_size
from rnnexp.core.types import Array, Params
from rnnexp.scan.unroll import unroll
from tests.helpers.variants import VARIANTS, build, variant_id

T, B, I, H = 7, 3, 4, 5  # noqa: E741
Variant = tuple[str, dict[str, Any]]
each_cell = pytest.mark.parametrize("variant", VARIANTS, ids=variant_id)


def make(variant: Variant, seed: int = 0) -> tuple[Cell, Params, Array]:
    """A cell, weights moved off their zeros, and a batch of inputs."""
    cell = build(variant, I, H)
    key_init, key_noise, key_x = jax.random.split(jax.random.key(seed), 3)
    flat, unravel = ravel_pytree(cell.init(key_init))
    params = unravel(flat + 0.1 * jax.random.normal(key_noise, flat.shape))
    return cell, params, jax.random.normal(key_x, (T, B, I))


@each_cell
def test_a_step_keeps_structure_shapes_and_dtypes(variant: Variant) -> None:
    cell, params, x = make(variant)
    state = cell.init_state(params)
    new, y = cell.step(params, state, x[0, 0])
    assert list(new) == list(state)
    assert [(v.shape, v.dtype) for v in jax.tree.leaves(new)] == [
        (v.shape, v.dtype) for v in jax.tree.leaves(state)
    ]
    assert y.shape == (cell.output_size,)
    assert cell.hidden in cell.probed
    assert set(cell.probed) <= set(state)


@each_cell
def test_the_scan_equals_a_python_loop(variant: Variant, x64: None) -> None:
    cell, params, x = make(variant)
    got = unroll(cell, params, x)
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

    gradient = jax.jit(jax.grad(loss))(flat)
    moves = 1e-6 * jnp.eye(len(flat))
    losses = jax.jit(jax.vmap(loss))
    numeric = (losses(flat[None] + moves) - losses(flat[None] - moves)) / 2e-6
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-7)


@each_cell
def test_the_second_call_does_not_trace_again(variant: Variant) -> None:
    cell, params, x = make(variant)
    traces = []

    @jax.jit
    def run(params: Params, x: Array) -> Array:
        traces.append(1)
        return unroll(cell, params, x).outputs_TxBxH

    run(params, x)
    run(jax.tree.map(lambda p: p + 1, params), x)
    assert len(traces) == 1


@each_cell
def test_the_parameter_count_is_the_formula(variant: Variant) -> None:
    cell, params, _ = make(variant)
    assert tree_size(params) == cell.parameter_count


@each_cell
def test_gates_lie_between_zero_and_one(variant: Variant) -> None:
    cell, params, x = make(variant)
    state = {k: v + 0.3 for k, v in cell.init_state(params).items()}
    gates = cell.gates(params, state, x[0, 0])
    assert len(gates) >= {"lstm": 3, "gru": 2, "minimal_gated": 1}.get(variant[0], 0)
    for values in gates.values():
        assert values.shape == (H,)
        assert bool(jnp.all((values > 0) & (values < 1)))


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


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_recurrent_kernels_are_orthogonal_gate_by_gate(name: str, gates: int) -> None:
    params = build((name, {}), 20, 64).init(jax.random.key(1))
    for block in np.split(np.asarray(params["w_h"]), gates, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(64), atol=1e-5)
    first, *rest = np.split(np.asarray(params["w_h"]), gates, axis=1)
    assert all(np.abs(first - other).max() > 0.1 for other in rest)


@pytest.mark.parametrize(
    ("name", "gates"), [("feedforward", 1), ("rnn", 1), ("lstm", 4), ("gru", 3)]
)
def test_input_kernels_are_glorot_uniform_gate_by_gate(name: str, gates: int) -> None:
    params = build((name, {}), 150, 250).init(jax.random.key(2))
    limit = np.sqrt(6 / (150 + 250))
    for block in np.split(np.asarray(params["w_x"]), gates, axis=1):
        assert np.abs(block).max() <= limit
        # 37,500 draws: the deviation of the sample variance is 0.5 %, five of it 2.3 %
        np.testing.assert_allclose(block.var(), limit**2 / 3, rtol=0.023)
        np.testing.assert_allclose(block.mean(), 0, atol=5 * limit / np.sqrt(3 * block.size))


def test_lstm_biases() -> None:
    b = build(("lstm", {}), 3, 8).init(jax.random.key(0))["b"].reshape(4, 8)
    np.testing.assert_array_equal(b, np.array([[0.0], [1.0], [0.0], [0.0]]) * np.ones((1, 8)))
    chrono = build(("lstm", {"chrono_steps": 100}), 3, 1000).init(jax.random.key(0))["b"]
    b_i, b_f, b_g, b_o = chrono.reshape(4, 1000)
    np.testing.assert_array_equal(b_i, -b_f)
    assert float(jnp.abs(b_g).max()) == float(jnp.abs(b_o).max()) == 0
    u = np.exp(b_f)  # U(1, 99): mean 50, deviation 28.3, of the mean of 1,000 draws 0.9
    assert 0.999 <= u.min() < u.max() <= 99.001
    np.testing.assert_allclose(u.mean(), 50, atol=4.5)


def test_irnn_starts_as_the_identity() -> None:
    params = build(("rnn", {"start": "identity", "recurrent_scale": 0.5}), 300, 100).init(
        jax.random.key(0)
    )
    np.testing.assert_array_equal(params["w_h"], 0.5 * np.eye(100))
    np.testing.assert_allclose(np.asarray(params["w_x"]).std(), 0.001, rtol=0.03)
