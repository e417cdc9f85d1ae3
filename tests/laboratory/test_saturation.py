"""Saturation of gates and units, and time constants, against values forced by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.core.masking import reverse_valid
from rnnexp.core.types import Array, Params
from rnnexp.laboratory import saturation
from rnnexp.laboratory.saturation import (
    kept_fraction,
    time_constant,
)
from rnnexp.scan.unroll import Trajectory, initial_state, unroll
from tests.helpers.variants import build, small

T, B, I, H = 6, 3, 2, 4  # noqa: E741
LENGTHS = (6, 2, 4)
KEPT = [name for name in CELLS.builtin if build(small(name), I, H).kept_fraction is not None]


def trajectory_of(cell: Cell, params: Params, x: Array, lengths: Array | None = None) -> Trajectory:
    """What a cell does on a batch."""

    @jax.jit
    def run(params: Params, x: Array, lengths: Array | None) -> Trajectory:
        start = initial_state(cell, params, x.shape[1])
        got = unroll(cell, params, x, lengths_B=lengths, state=start, keep_states=True)
        assert got.states is not None
        return Trajectory(x, start, got.states)

    trajectory: Trajectory = run(params, x, lengths)
    return trajectory


def gate_saturation(
    cell: Cell, params: Params, trajectory: Trajectory, *rest: Any, **keys: Any
) -> Any:
    """The function of that name, compiled."""
    run = jax.jit(
        lambda params, trajectory: saturation.gate_saturation(
            cell, params, trajectory, *rest, **keys
        )
    )
    return run(params, trajectory)


hidden_saturation = jax.jit(saturation.hidden_saturation)


def drawn(name: str, **options: Any) -> tuple[Cell, dict[str, Any], Array]:
    """A cell, its parameters with random biases, and inputs."""
    cell = build(small(name, **options), I, H)
    params = dict(jax.jit(cell.init)(jax.random.key(0)))
    if "b" in params:
        params["b"] = params["b"] + jax.random.normal(jax.random.key(3), params["b"].shape)
    return cell, params, jax.random.normal(jax.random.key(1), (T, B, I))


def logit(p: float) -> float:
    """The argument at which the logistic function is p."""
    return float(np.log(p / (1 - p)))


def test_gates_of_an_lstm_that_biases_alone_decide(x64: None) -> None:
    cell, params, x = drawn("lstm")
    i, f, o = [0.05, 0.05, 0.5, 0.95], [0.95, 0.99, 0.92, 0.5], [0.5, 0.5, 0.5, 0.5]
    b = np.concatenate([*(list(map(logit, gate)) for gate in (i, f)), np.ones(H), [0.0] * H])
    forced = {k: jnp.zeros_like(v) for k, v in params.items()} | {"b": jnp.asarray(b)}
    got = gate_saturation(cell, forced, trajectory_of(cell, forced, x))
    for gate, low, high, mean in [
        ("input", 0.5, 0.25, np.mean(i)), ("forget", 0.0, 0.75, np.mean(f)),
        ("output", 0.0, 0.0, np.mean(o)),
    ]:  # fmt: skip
        np.testing.assert_array_equal(got.low[gate], np.full(T, low))
        np.testing.assert_array_equal(got.high[gate], np.full(T, high))
        np.testing.assert_allclose(got.mean[gate], np.full(T, mean), rtol=1e-12)
    kept = kept_fraction(cell, got)
    assert kept is not None
    np.testing.assert_allclose(time_constant(kept), np.full(T, -1 / np.log(np.mean(f))))


@pytest.mark.parametrize("backward", [False, True])
def test_shares_count_valid_examples_alone(backward: bool, x64: None) -> None:
    cell, params, x = drawn("gru")
    lengths = jnp.array(LENGTHS)
    read = reverse_valid(x, lengths) if backward else x
    got = gate_saturation(
        cell, params, trajectory_of(cell, params, read, lengths), lengths, backward=backward
    )
    gates: list[list[np.ndarray]] = [[] for _ in range(T)]
    gates_of, transition = jax.jit(cell.gates), jax.jit(cell.transition)
    for b, length in enumerate(LENGTHS):  # the slow and obvious way
        state = cell.init_state(params)
        for t in range(length - 1, -1, -1) if backward else range(length):
            gates[t].append(np.asarray(gates_of(params, state, x[t, b])["update"]))
            state = transition(params, state, x[t, b])
    for t in range(T):
        here = np.stack(gates[t])
        np.testing.assert_allclose(got.mean["update"][t], here.mean(), rtol=1e-12)
        np.testing.assert_allclose(got.low["update"][t], (here < 0.1).mean(), rtol=1e-12)
        np.testing.assert_allclose(got.high["update"][t], (here > 0.9).mean(), rtol=1e-12)


def test_steps_that_no_example_has_are_missing() -> None:
    cell, params, x = drawn("gru")
    lengths = jnp.array([2, 1, 3], jnp.int32)
    got = gate_saturation(cell, params, trajectory_of(cell, params, x, lengths), lengths)
    for by_gate in got:
        np.testing.assert_array_equal(np.isnan(by_gate["reset"]), np.arange(T) >= 3)


@pytest.mark.parametrize("name", KEPT)
def test_the_kept_fraction_is_how_a_state_depends_on_itself(name: str, x64: None) -> None:
    """With the recurrent weights at 0, ds_t/ds_{t-1} is diagonal and its mean is that share."""
    cell, params, x = drawn(name)
    if "w_h" in params:
        params["w_h"] = jnp.zeros_like(params["w_h"])
    seen = trajectory_of(cell, params, x)
    kept = kept_fraction(cell, gate_saturation(cell, params, seen))
    assert kept is not None
    leaf = "c" if name in ("lstm", "ntm", "dnc") else "h"

    def step(value: Array, state: Any, x_I: Array) -> Array:
        return cell.transition(params, {**state, leaf: value}, x_I)[leaf]

    jacobian = jax.jit(jax.vmap(jax.vmap(jax.jacfwd(step))))
    slopes = jacobian(seen.states[leaf][:-1], {k: v[:-1] for k, v in seen.states.items()}, x[1:])
    diagonal = np.diagonal(slopes, axis1=2, axis2=3)
    np.testing.assert_allclose(kept[1:], diagonal.mean((1, 2)), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "options"), [("lem", {}), ("rnn", {}), ("antisymmetric", {"gated": True})]
)
def test_cells_without_a_gate_that_says_what_is_kept_have_no_share(
    name: str, options: dict[str, Any]
) -> None:
    cell, params, x = drawn(name, **options)
    got = gate_saturation(cell, params, trajectory_of(cell, params, x))
    assert kept_fraction(cell, got) is None
    assert bool(got.mean) == (name != "rnn")


def test_a_time_constant_is_the_time_to_fall_to_one_part_in_e(x64: None) -> None:
    kept = jnp.array([0.0, np.exp(-1), np.exp(-1 / 50), 1.0, jnp.nan])
    np.testing.assert_allclose(time_constant(kept), [0, 1, 50, np.inf, np.nan], rtol=1e-12)
    assert np.isfinite(time_constant(jnp.array([1e-40, 1 - 1e-7], jnp.float32))).all()


def test_dead_and_saturated_units_are_told_apart(x64: None) -> None:
    steps = np.arange(100)
    h = np.zeros((100, 1, 5))
    h[:, 0, 0] = 0.3 + 0.0004 * np.sin(steps)  # stands still
    h[:, 0, 1] = np.where(steps % 2, 0.99, -0.99)  # saturated, but not dead
    h[:, 0, 2] = np.where(steps < 96, 0.95, 0.0)  # at 96 of 100 steps
    h[:, 0, 3] = np.where(steps < 95, 0.95, 0.0)  # at 95 of 100: not above the share
    h[:, 0, 4] = np.sin(steps)
    got = hidden_saturation(jnp.asarray(h))
    np.testing.assert_allclose([got.dead, got.saturated], [1 / 5, 2 / 5])


def test_relu_units_that_are_always_zero_are_dead(x64: None) -> None:
    cell, params, x = drawn("rnn", activation="relu")
    off = {**params, "b": params["b"].at[:3].set(-100.0).at[3].set(5.0)}
    got = hidden_saturation(trajectory_of(cell, off, x).states["h"])
    np.testing.assert_allclose(got.dead, 3 / 4)


def test_padding_neither_kills_nor_revives_a_unit(x64: None) -> None:
    h = jnp.full((T, B, 2), 0.95).at[0, 0, 0].set(0.2)
    h = h.at[3:, 1].set(-5.0)  # padding
    lengths = jnp.array([T, 3, T])
    got = hidden_saturation(h, lengths)
    np.testing.assert_allclose([got.dead, got.saturated], [0.5, 0.5])
    assert float(hidden_saturation(h).dead) == 0.0


def test_the_parts_of_a_complex_state_are_units_each() -> None:
    h = jnp.zeros((T, B, 2, H)).at[:, :, 0].set(jnp.arange(T * B * H, dtype=float).reshape(T, B, H))
    np.testing.assert_allclose(hidden_saturation(h).dead, 0.5)
