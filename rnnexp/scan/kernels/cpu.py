"""A cell over a whole batch of sequences in one compiled call, on a CPU.

XLA runs a scan over time as dozens of small operations a step, each of which reads and
writes memory and uses one thread; the kernel (C++, in `native/`) keeps states and weights in
the cache, forms products and gates together, divides the batch once over the threads, and
sums the gradient of the weights several steps at a time. The mathematics are those of the
cell's `transition`: values, gradients and adjoints are held to the scan in the tests.
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
from rnnexp.scan.kernels.cotangents import dense, is_zero, marked, plain


class CompiledCall(NamedTuple):
    """What is fixed of a call: the cell, how many threads may work, and the leaves whose
    adjoints are wanted, or of these the norms alone."""

    cell: str
    threads: int
    taps: tuple[str, ...]
    norms: bool


def recurrence(
    cell: str,
    params: Params,
    inputs_TxBxI: Array,
    state: State,
    *,
    lengths_B: Array | None = None,
    slots: State | None = None,
    threads: int | None = None,
) -> tuple[Array, State]:
    """The hidden states after every step, (T, B, H), and the final state.

    Args:
      cell: one of `build.CELLS`; `params` and `state` are those of the cell of that name.
      lengths_B: int32; from there on a sequence's state is held.
      slots: zeros (T, B, H) for some leaves of the state; the derivative by them is dL/ds_t.
        Of shape (T, B): its norms, example by example.
      threads: how many may work on the batch at once; None: this device's share of the
        cores. It changes no result.

    Raises:
      BuildError: there is no kernel; see `build.load`.
    """
    given = {"b_hn": jnp.zeros(0, inputs_TxBxI.dtype), **params}
    weights = {name: given[name] for name in ("w_x", "w_h", "b", "b_hn")}
    norms = any(slot.ndim == 2 for slot in (slots or {}).values())
    static = CompiledCall(cell, threads or threads_of_a_device(), tuple(slots or ()), norms)
    start = (state["h"], state["c"] if cell == "lstm" else state["h"][:0])
    run = _run(static, weights, inputs_TxBxI, start, lengths_B, slots or {})
    final = {"h": run.h_BxH} | ({"c": run.c_BxH} if cell == "lstm" else {})
    return run.h_TxBxH, final


def threads_of_a_device() -> int:
    """This device's share of the processor's cores, at least 1."""
    return max(1, len(os.sched_getaffinity(0)) // jax.local_device_count())


Start = tuple[Array, Array]


class CompiledOutputs(NamedTuple):
    """h after every step, and h and c after the last.

    The last h is given twice: where no other is read, the backward pass is then told so, and
    needs no array of zeros for the steps before.
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
    """The values, and what the backward pass needs of them."""
    del slots
    with_dx = marked(x_TxBxI)
    weights, x_TxBxI, start, lengths_B = plain((weights, x_TxBxI, start, lengths_B))
    size = build.load(static.cell, x_TxBxI.dtype.name).saved_size(start[0].shape[1])
    result, saved = _forward(static, weights, x_TxBxI, start, lengths_B, saved_size=size)
    return result, (with_dx, weights, x_TxBxI, start, lengths_B, result.h_TxBxH, saved)


def _run_backward(static: CompiledCall, kept: Any, cotangents: Any) -> Any:
    """Cotangents of all arguments."""
    with_dx, weights, x_TxBxI, start, lengths_B, h_TxBxH, saved = kept
    like = jax.ShapeDtypeStruct
    dtype = x_TxBxI.dtype
    nothing = jnp.zeros(0, dtype)
    dh_TxBxH = nothing if is_zero(cotangents.h_TxBxH) else cotangents.h_TxBxH
    dh_BxH, dc_BxH = dense(cotangents[1:])
    tap_shape = h_TxBxH.shape[: 2 if static.norms else 3]
    shapes = [
        like(x_TxBxI.shape if "dx" in with_dx else (0,), dtype),
        *(like(weights[name].shape, dtype) for name in ("w_x", "w_h", "b", "b_hn")),
        *(like(leaf.shape, dtype) for leaf in start),
        *(like(tap_shape if leaf in static.taps else (0,), dtype) for leaf in ("h", "c")),
    ]
    call = _call("backward", shapes, static, lengths_B)
    arguments = _arguments(weights, x_TxBxI, start, lengths_B)
    more = (h_TxBxH, saved, dh_TxBxH, dh_BxH, dc_BxH)
    dx, dw_x, dw_h, db, db_hn, dh0, dc0, tap_h, tap_c = call(*arguments, *more, norms=static.norms)
    grads = {"w_x": dw_x, "w_h": dw_h, "b": db, "b_hn": db_hn}
    taps = {leaf: value for leaf, value in (("h", tap_h), ("c", tap_c)) if leaf in static.taps}
    dx = dx if "dx" in with_dx else None
    return grads, dx, (dh0, dc0), None, taps


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
    """The values, and what a backward pass needs (none of it if size is 0)."""
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
    return CompiledOutputs(h_TxBxH, h_TxBxH[-1], c_BxH), saved


def _arguments(
    weights: Mapping[str, Array], x_TxBxI: Array, start: Start, lengths_B: Array | None
) -> tuple[Array, ...]:
    """The first eight arguments of both calls."""
    lengths = jnp.zeros(0, jnp.int32) if lengths_B is None else lengths_B
    named = (weights[name] for name in ("w_x", "w_h", "b", "b_hn"))
    return (x_TxBxI, *named, *start, lengths)


def _call(name: str, shapes: list[Any], static: CompiledCall, lengths_B: Array | None) -> Any:
    """The compiled function, with its attributes."""
    name = getattr(build.load(static.cell, shapes[0].dtype.name), name)
    call = jax.ffi.ffi_call(name, shapes, vmap_method="sequential")
    return partial(call, threads=np.int64(static.threads), has_lengths=lengths_B is not None)
