"""A cell over a whole batch of sequences in one compiled call, on a CPU.

XLA runs a scan over time as dozens of small operations a step, each of which reads and
writes memory and uses one thread. The kernel (C++, in `native/`) keeps states and weights in
the cache, computes products and gates together, divides the batch once over the threads, and
sums the gradient of the weights several steps at a time. The equations are those of the
cell's `transition`; the tests compare values, gradients and adjoints with the scan.
"""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Params, State
from rnnexp.scan.kernels import build
from rnnexp.scan.kernels.cells import CELLS
from rnnexp.scan.kernels.cotangents import dense, is_zero, marked, plain
from rnnexp.scan.kernels.operands import check_operands

WEIGHTS = ("w_x", "w_h", "b", "b_hn", "p")
"""The weights of all kernels, in the order in which the native code takes them."""


class CompiledCall(NamedTuple):
    """The static arguments of a call: the cell, the most threads, the leaves whose adjoints are
    computed, whether only the adjoints' norms are, and the steps of truncated backpropagation."""

    cell: str
    threads: int
    taps: tuple[str, ...]
    norms: bool
    cut_steps: int


def recurrence(
    cell: str,
    params: Params,
    inputs_TxBxI: Array,
    state: State,
    *,
    lengths_B: Array | None = None,
    slots: State | None = None,
    threads: int | None = None,
    cut_steps: int = 0,
) -> tuple[Array, State]:
    """The hidden states after every step, (T, B, H), and the final state.

    Args:
      cell: one of `cells.CELLS`, which names the weights `params` and the leaves of `state`.
      lengths_B: int32, valid steps; after them a sequence's state is held.
      slots: zeros (T, B, H) for some leaves of the state; the derivative by them is dL/ds_t.
        Of shape (T, B): its norms, example by example.
      threads: the most threads; None: one for each of this device's cores. It changes no
        result.
      cut_steps: no gradient flows back over steps that it divides; 0: over all.

    Raises:
      BuildError: there is no kernel; see `build.load`.
      UsageError: an operand is of another shape or type, named with what was expected.
    """
    norms = any(slot.ndim == 2 for slot in (slots or {}).values())
    check_operands(cell, params, inputs_TxBxI, state, lengths_B=lengths_B, slots=slots, norms=norms)
    weights = _with_absent(cell, params, state["h"])
    threads = threads or threads_of_a_device()
    static = CompiledCall(cell, threads, tuple(slots or ()), norms, cut_steps)
    has_c = CELLS[cell].has_c
    start = (state["h"], state["c"] if has_c else state["h"][:0])
    run = _run(static, weights, inputs_TxBxI, start, lengths_B, slots or {})
    final = {"h": run.h_BxH} | ({"c": run.c_BxH} if has_c else {})
    return run.h_TxBxH, final


def _with_absent(cell: str, params: Params, h_BxH: Array) -> dict[str, Array]:
    """All of `WEIGHTS`; those that the cell does not have are empty."""
    hidden_size = h_BxH.shape[1]
    absent = {
        "w_h": (0, CELLS[cell].gates * hidden_size),
        "b_hn": (0,),
        "p": (0, hidden_size),
    }
    return {
        name: params[name] if name in params else jnp.zeros(absent[name], h_BxH.dtype)
        for name in WEIGHTS
    }


def threads_of_a_device() -> int:
    """The processor's cores by device, at least 1."""
    return max(1, len(os.sched_getaffinity(0)) // jax.local_device_count())


Start = tuple[Array, Array]


class CompiledOutputs(NamedTuple):
    """h after every step, and h and c after the last.

    The last h is there twice: if no other is read, the cotangent of the first field is a
    symbolic zero, and the backward pass needs no array of zeros.
    """

    h_TxBxH: Array
    h_BxH: Array
    c_BxH: Array


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(
    static: CompiledCall,
    weights: Mapping[str, Array],
    x_TxBxI: Array,
    start: Start,
    lengths_B: Array | None,
    slots: State,
) -> CompiledOutputs:
    del slots
    return _forward(static, weights, x_TxBxI, start, lengths_B, saved_size=0)[0]


def _run_forward(
    static: CompiledCall, weights: Any, x_TxBxI: Any, start: Any, lengths_B: Any, slots: Any
) -> tuple[CompiledOutputs, Any]:
    """The values, and the residuals of the backward pass."""
    del slots
    with_dx = marked(x_TxBxI)
    weights, x_TxBxI, start, lengths_B = plain((weights, x_TxBxI, start, lengths_B))
    size = build.load(static.cell, x_TxBxI.dtype.name).saved_size(start[0].shape[1])
    result, saved = _forward(static, weights, x_TxBxI, start, lengths_B, saved_size=size)
    return result, (with_dx, weights, x_TxBxI, start, lengths_B, result.h_TxBxH, saved)


def _run_backward(static: CompiledCall, kept: Any, cotangents: Any) -> Any:
    """Cotangents of all arguments."""
    with_dx, weights, x_TxBxI, start, lengths_B, h_TxBxH, saved = kept
    like = partial(jax.ShapeDtypeStruct, dtype=x_TxBxI.dtype)
    zero = is_zero(cotangents.h_TxBxH)
    dh_TxBxH = jnp.zeros(0, x_TxBxI.dtype) if zero else cotangents.h_TxBxH
    dh_BxH, dc_BxH = dense(cotangents[1:])
    tap_shape = h_TxBxH.shape[: 2 if static.norms else 3]
    shapes = [
        like(x_TxBxI.shape if "dx" in with_dx else (0,)),
        *(like(weights[name].shape) for name in WEIGHTS),
        *(like(leaf.shape) for leaf in start),
        *(like(tap_shape if leaf in static.taps else (0,)) for leaf in ("h", "c")),
    ]
    call = _call("backward", shapes, static, lengths_B)
    arguments = _arguments(weights, x_TxBxI, start, lengths_B)
    more = (h_TxBxH, saved, dh_TxBxH, dh_BxH, dc_BxH)
    attributes = {"norms": static.norms, "cut_steps": np.int64(static.cut_steps)}
    dx, *grads, dh0, dc0, tap_h, tap_c = call(*arguments, *more, **attributes)
    taps = {leaf: value for leaf, value in (("h", tap_h), ("c", tap_c)) if leaf in static.taps}
    d_weights = dict(zip(WEIGHTS, grads, strict=True))
    return d_weights, dx if "dx" in with_dx else None, (dh0, dc0), None, taps


_run.defvjp(_run_forward, _run_backward, symbolic_zeros=True)


def _forward(
    static: CompiledCall,
    weights: Mapping[str, Array],
    x_TxBxI: Array,
    start: Start,
    lengths_B: Array | None,
    *,
    saved_size: int,
) -> tuple[CompiledOutputs, Array]:
    """The values, and the residuals of a backward pass (empty if `saved_size` is 0)."""
    steps, batch_size, _ = x_TxBxI.shape
    hidden_size = start[0].shape[1]
    like = partial(jax.ShapeDtypeStruct, dtype=x_TxBxI.dtype)
    shapes = [
        like((steps, batch_size, hidden_size)),
        like(start[1].shape),
        like((steps, batch_size, saved_size)),
    ]
    call = _call("forward", shapes, static, lengths_B)
    h_TxBxH, c_BxH, saved = call(*_arguments(weights, x_TxBxI, start, lengths_B))
    h_BxH = h_TxBxH[-1] if steps else start[0]
    return CompiledOutputs(h_TxBxH, h_BxH, c_BxH), saved


def _arguments(
    weights: Mapping[str, Array], x_TxBxI: Array, start: Start, lengths_B: Array | None
) -> tuple[Array, ...]:
    """The first nine arguments of both calls."""
    lengths = jnp.zeros(0, jnp.int32) if lengths_B is None else lengths_B
    return (x_TxBxI, *(weights[name] for name in WEIGHTS), *start, lengths)


def _call(name: str, shapes: list[Any], static: CompiledCall, lengths_B: Array | None) -> Any:
    """The compiled function, with its attributes."""
    name = getattr(build.load(static.cell, shapes[0].dtype.name), name)
    call = jax.ffi.ffi_call(name, shapes, vmap_method="sequential")
    return partial(call, threads=np.int64(static.threads), has_lengths=lengths_B is not None)
