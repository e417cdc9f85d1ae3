"""The fused kernels of graphics processors, run by Pallas's interpreter: they are the scan."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import probes, tap
from rnnexp.scan.kernels.gpu import recurrence as fused
from rnnexp.scan.kernels.gpu.layout import layout
from rnnexp.scan.kernels.gpu.recurrence import recurrence
from rnnexp.scan.unroll import TimeLoop, unroll
from tests.helpers.fused_cells import SCAN, T, made
from tests.helpers.kernel_cells import assert_same


def everything(cell: Cell, how: TimeLoop, lengths_B: Array | None, *given: Any) -> Any:
    """A loss of all that comes out, what comes out, and the derivatives by all that is given."""

    def loss(params: Params, x: Array, start: State, slots: State) -> tuple[Array, Any]:
        (probe,) = probes(tap, [slots])
        run = unroll(cell, params, x, lengths_B=lengths_B, state=start, probe=probe, time_loop=how)
        weights = jnp.sin(jnp.arange(run.outputs_TxBxH.size, dtype=x.dtype))
        total = jnp.sum(weights.reshape(run.outputs_TxBxH.shape) * run.outputs_TxBxH)
        total += sum(jnp.sum(jnp.sin(leaf)) for leaf in run.final_state.values())
        return total, (run.outputs_TxBxH, run.final_state)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))(*given)


@pytest.mark.parametrize(
    ("name", "hidden_size", "batch_size", "precision", "held"),
    [
        ("lstm", 46, 5, "float32", 1),
        ("gru", 20, 17, "tf32", 3),
        ("relu", 70, 2, "float32", 1),
    ],
)
def test_the_fused_kernel_is_the_scan(
    name: str,
    hidden_size: int,
    batch_size: int,
    precision: str,
    held: int,
    monkeypatch: pytest.MonkeyPatch,
    x64: None,
) -> None:
    """Values, gradients, adjoints of h and c; sizes to be padded; sequences that end early;
    weights that are held and weights that are read again."""
    cell, given = made(name, hidden_size, batch_size)
    shape = layout(name, hidden_size, precision)._replace(held=held)
    monkeypatch.setattr(fused, "layout", lambda *_: shape)
    lengths = jnp.arange(batch_size, dtype=jnp.int32) % T + 1
    got = everything(cell, TimeLoop(kernel=True, fused=precision), lengths, *given)
    assert_same(got, everything(cell, SCAN, lengths, *given), 1e-12)


def test_lanes_side_by_side_change_nothing() -> None:
    _, (params, x, start, slots) = made("tanh", 5, 3)

    def grads(params: Params, x: Array) -> Any:
        def loss(params: Params, slots: State) -> Array:
            h, _ = recurrence("tanh", params, x, start, slots=slots)
            return jnp.sum(jnp.sin(h))

        return jax.grad(loss, argnums=(0, 1))(params, slots)

    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), (params, x))
    beside = jax.jit(jax.vmap(grads))(*stacked)
    assert_same(jax.tree.map(lambda leaf: leaf[0], beside), jax.jit(grads)(params, x), 1e-6)
    assert not np.allclose(beside[0]["w_h"][0], beside[0]["w_h"][1], rtol=0.1)
