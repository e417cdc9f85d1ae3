"""Errors of the fused kernels and of the scan in float32, relative to the scan in float64."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.bench.workloads import Workload, draw
from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State, Tree
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.scan.kernels.gpu.layout import PRECISIONS, too_wide
from rnnexp.scan.unroll import TimeLoop, initial_state, unroll

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "rnn": ("rnn", {}),
    "relu": ("rnn", {"activation": "relu", "recurrent_scale": 0.9}),
    "linear": ("rnn", {"activation": "linear", "recurrent_scale": 0.9}),
}
"""By kernel, the cell and the options that use it."""


class KernelInputs(NamedTuple):
    """The arguments of the function whose values and derivatives are compared."""

    params: Params
    x_TxBxI: Array
    start: State
    slots: State


def given(cell: Cell, work: Workload) -> KernelInputs:
    """The weights of a new cell, the benchmark's inputs, and zeros for the adjoints."""
    params = cell.init(jax.random.key(0))
    start = initial_state(cell, params, work.batch_size)
    slots = zero_slot(cell, params, work.steps, work.batch_size)
    return KernelInputs(params, jnp.asarray(draw(work)[0]), start, slots)


def everything(cell: Cell, how: TimeLoop, lengths_B: Array | None) -> Callable[..., Tree]:
    """A compiled function of `KernelInputs`: the outputs, and the gradients of a loss of them."""

    def loss(*arguments: Any) -> tuple[Array, Array]:
        params, x_TxBxI, start, slots = arguments
        (probe,) = probes(tap, [slots])
        run = unroll(
            cell, params, x_TxBxI, lengths_B=lengths_B, state=start, probe=probe, time_loop=how
        )
        steps = jnp.sin(jnp.arange(x_TxBxI.shape[0], dtype=x_TxBxI.dtype))
        total = jnp.einsum("t,tbh->", steps, run.outputs_TxBxH) + jnp.sum(run.final_BxH**2)
        return total, run.outputs_TxBxH

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))


def distance(got: Tree, exact: Tree) -> float:
    """The largest absolute difference, relative to the largest entry of its array."""
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(exact), strict=True)
    arrays = ((np.asarray(a, np.float64), np.asarray(b)) for a, b in pairs)
    return max(float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1.0)) for a, b in arrays)


def errors(work: Workload, kind: str, *, full: bool) -> Iterator[dict[str, Any]]:
    """Rows for one kernel: the scan in float32, then the kernel in every precision.

    Each row has the distances from the scan in float64, or the error. With `full` all sequences
    have the same length.
    """
    name, options = KINDS[kind]
    cell = CELLS.entry(name).factory()(work.input_size, work.hidden_size, **options)
    lengths = None if full else jnp.arange(work.batch_size, dtype=jnp.int32) % work.steps + 1
    values = given(cell, work)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), values)
        (_, exact), exact_grads = jax.device_get(everything(cell, TimeLoop(), lengths)(*wide))
    ways = {"scan, float32": TimeLoop()}
    ways |= {
        f"fused, {precision}": TimeLoop(kernel=True, fused=precision)
        for precision in PRECISIONS
        if not too_wide(str(cell.kernel), work.hidden_size, precision)
    }
    for way, how in ways.items():
        row: dict[str, Any] = {"work": work.name, "cell": kind, "way": way, "full": full}
        try:
            with jax.default_matmul_precision("float32"):
                (_, outputs), grads = everything(cell, how, lengths)(*values)
            parts = ("parameters", "inputs", "initial_state", "adjoints")
            row["outputs"] = distance(outputs, exact)
            row |= {n: distance(g, e) for n, g, e in zip(parts, grads, exact_grads, strict=True)}
        except Exception as error:  # of a compiler or a device; the others are still checked
            row["error"] = f"{type(error).__name__}: {error}"[:500]
        yield row
