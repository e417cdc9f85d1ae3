"""Cells run by Newton's iteration and by the scan, with all derivatives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import perturb, probes, tap
from rnnexp.scan.unroll import TimeLoop, Unrolled, initial_state, unroll

SCAN, FULL, DIAGONAL = TimeLoop(), TimeLoop(newton="full"), TimeLoop(newton="diagonal")


def arguments(cell: Cell, steps: int, batch_size: int) -> tuple[Params, Array, State, State]:
    """Weights, inputs, a first state away from the cell's own, and slots for all its leaves."""

    @jax.jit
    def drawn(key: Array) -> tuple[Params, Array, State, State]:
        params = cell.init(key)
        noise = jax.random.normal(jax.random.key(2), (batch_size, 1))
        start = {}
        for leaf, value in initial_state(cell, params, batch_size).items():
            moved = leaf in cell.probed  # not a counter, nor what a teacher showed
            shift = 0.3 * noise.reshape(-1, *(1,) * (value.ndim - 1))
            start[leaf] = value + shift if moved else value
        x = jax.random.normal(jax.random.key(1), (steps, batch_size, cell.input_size))
        probed = {leaf: value for leaf, value in start.items() if leaf in cell.probed}
        slots = {leaf: jnp.zeros((steps, *v.shape), v.dtype) for leaf, v in probed.items()}
        return params, x, start, slots

    given: tuple[Params, Array, State, State] = drawn(jax.random.key(0))
    return given


def differentiated(
    cell: Cell, time_loop: TimeLoop, *, lengths_B: Array | None = None, probe: Any = tap
) -> Any:
    """The function of `arguments`: a loss of all that comes out, with what it is made of, and
    its gradients by weights, inputs, first state and slots."""

    def loss(params: Params, x: Array, start: State, slots: State) -> tuple[Array, Any]:
        (probed,) = probes(probe, [slots])
        run = unroll(
            cell, params, x, lengths_B=lengths_B, state=start, probe=probed, time_loop=time_loop,
            keep_states=True,
        )  # fmt: skip
        weights = jnp.cos(jnp.arange(run.outputs_TxBxH.size, dtype=x.dtype))
        total = jnp.sum(weights.reshape(run.outputs_TxBxH.shape) * jnp.sin(run.outputs_TxBxH))
        total += jnp.sum(run.final_BxH**2)
        total += sum(jnp.sum(jnp.sin(leaf)) for leaf in run.final_state.values())
        return total, run

    return jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True)


def all_ways(cell: Cell, *paths: TimeLoop, **keywords: Any) -> Any:
    """The compiled functions of several ways as one."""
    ways = [differentiated(cell, path, **keywords) for path in paths]
    return jax.jit(lambda *given: [way(*given) for way in ways])


def assert_same(got: Any, wanted: Any, tolerance: float) -> None:
    """Values, states and derivatives agree, relative to the largest entry of each array."""
    (value, run), grads = got
    (wanted_value, wanted_run), wanted_grads = wanted
    run, wanted_run = run._replace(newton_stats=None), wanted_run._replace(newton_stats=None)

    def compare(a: Array, b: Array) -> None:
        largest = float(np.max(np.abs(b))) if b.size else 0.0
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(largest, 1e-30))

    jax.tree.map(compare, (value, run, grads), (wanted_value, wanted_run, wanted_grads))


def states(cell: Cell, time_loop: TimeLoop) -> Any:
    """The compiled function of `arguments`: what unrolling gives, without derivatives."""

    def run(params: Params, x: Array, start: State, slots: State) -> Unrolled:
        (probed,) = probes(perturb, [slots])
        return unroll(cell, params, x, state=start, probe=probed, time_loop=time_loop)

    return jax.jit(run)
