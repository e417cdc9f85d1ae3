"""Lags between outputs and steps, and sums of adjoints over the outputs of one bin of lags.

`rnnexp.laboratory.lag_gradients` defines the lag in every mode.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, State
from rnnexp.gradflow.position_losses import LossesVjp, Model, spans
from rnnexp.models.transduction import Transducer

Lags: TypeAlias = Callable[[Array], Array]
"""`outputs s (R,) -> (R, T + 1, B)`: the lags of a unit's steps -1, 0, ..., T - 1, in its own
order of reading."""


class Windows(NamedTuple):
    """A unit's adjoints by bins of lags.

    `adjoints`: by leaf (W, T + 1, B, ...), row t + 1 for step t, row 0 the adjoint at step 0
    once more, for the start. `bins_WxT`: their bins, (W, T + 1).
    """

    adjoints: State
    bins_WxT: Array


def check_edges(edges: Sequence[int] | None, longest: int) -> tuple[int, ...]:
    """The edges, by default 0 and the powers of two up to the longest lag.

    Raises `UsageError` if they do not ascend from 0 or more, or end before that lag.
    """
    if edges is None:
        return (0, *(2**k for k in range((longest - 1).bit_length() + 1)))
    edges = tuple(int(edge) for edge in edges)
    if not edges or edges[0] < 0 or any(a >= b for a, b in pairwise(edges)):
        raise UsageError(f"edges must be lags that ascend from 0 or more, not {edges}")
    if edges[-1] < longest:
        raise UsageError(f"edges must reach the longest lag, {longest}, not end at {edges[-1]}")
    return edges


def unit_kinds(model: Model) -> list[str]:
    """The kind of each unit's lags: whether there is one output or one at each step, or the part
    of a transducer."""
    if not isinstance(model, Transducer):
        return ["one" if model.to_one else "each"] * len(model.units())
    return ["encoder"] * len(model.encoder.layers) + ["decoder"] * len(model.decoder.layers)


def unit_lags(model: Model, batch: Batch) -> list[Lags]:
    """The lags of every unit."""
    return [
        _lags(kind, unit.backward, *span, batch.inputs_TxBxI.shape[1])
        for kind, unit, span in zip(
            unit_kinds(model), model.units(), spans(model, batch), strict=True
        )
    ]


def _lags(kind: str, backward: bool, steps: int, lengths_B: Array | None, batch_size: int) -> Lags:
    if lengths_B is None:
        lengths_B = jnp.full(batch_size, steps, jnp.int32)
    shape = (steps + 1, batch_size)
    step_TxB = jnp.broadcast_to(jnp.arange(-1, steps, dtype=jnp.int32)[:, None], shape)
    left_TxB = jnp.broadcast_to(lengths_B.astype(jnp.int32)[None], shape) - 1 - step_TxB

    def lags(s_R: Array) -> Array:
        full = (s_R.shape[0], *shape)
        s = jnp.broadcast_to(s_R[:, None, None], full)
        step, left = jnp.broadcast_to(step_TxB[None], full), jnp.broadcast_to(left_TxB[None], full)
        if kind == "one":
            return left
        if kind == "encoder":
            return left + 1 + s
        if kind == "decoder":
            return s - step
        return jnp.abs(left - s if backward else s - step)

    return lags


def bin_of(lag: Array, edges: Sequence[int]) -> Array:
    """The bin of every lag; negative ones (padding, with zero gradient) get the first."""
    return jnp.searchsorted(jnp.asarray(edges, jnp.int32), lag)


def windows(
    model: Model,
    batch: Batch,
    vjp: LossesVjp,
    weights_SxB: Array,
    slots: Sequence[State],
    edges: Sequence[int],
    block: int,
) -> list[Windows]:
    """The adjoints of the weighted losses in bins of lags, of every unit.

    With a single output at the same step of all examples every step has one bin, and there is
    one window.
    """
    lags, count = unit_lags(model, batch), weights_SxB.shape[0]
    if (
        count == 1
        and spans(model, batch)[0].lengths_B is None
        and not isinstance(model, Transducer)
    ):
        return _single_windows(vjp(weights_SxB)[0], lags, edges)
    size = min(block, count)
    rows_NxR = jnp.arange(-(-count // size) * size, dtype=jnp.int32).reshape(-1, size)
    every_D = jnp.arange(len(edges), dtype=jnp.int32)

    def body(sums: list[State], s_R: Array) -> tuple[list[State], None]:
        # rows beyond the last one select no position and add zeros
        at_RxS = jax.nn.one_hot(s_R, count, dtype=weights_SxB.dtype)
        (adjoints_R,) = jax.vmap(vjp)(at_RxS[:, :, None] * weights_SxB[None])
        return [
            _add(sum_, adjoint_R, bin_of(lag(s_R), edges), len(edges))
            for sum_, adjoint_R, lag in zip(sums, adjoints_R, lags, strict=True)
        ], None

    empty: list[State] = [
        {k: jnp.zeros((len(edges), v.shape[0] + 1, *v.shape[1:]), v.dtype) for k, v in s.items()}
        for s in slots
    ]
    sums, _ = jax.lax.scan(body, empty, rows_NxR)
    return [
        Windows(of_unit, jnp.broadcast_to(every_D[:, None], (len(edges), slot_steps(of_unit))))
        for of_unit in sums
    ]


def _single_windows(
    adjoints: Sequence[State], lags: Sequence[Lags], edges: Sequence[int]
) -> list[Windows]:
    """One window a unit: the adjoints of the only output, each step in the bin of its lag."""
    first = jnp.zeros(1, jnp.int32)
    return [
        Windows(
            {leaf: _with_start(value)[None] for leaf, value in adjoint.items()},
            bin_of(lag(first), edges)[:, :, 0],
        )
        for adjoint, lag in zip(adjoints, lags, strict=True)
    ]


def slot_steps(adjoints: State) -> int:
    """T + 1 of adjoints in windows."""
    return next(iter(adjoints.values())).shape[1]


def _with_start(adjoint_TxB: Array) -> Array:
    """The adjoints with that at step 0 repeated in front, for the start."""
    return jnp.concatenate([adjoint_TxB[:1], adjoint_TxB])


def _add(sums: State, adjoints_R: State, bins_RxTxB: Array, count: int) -> State:
    """Add every row's adjoints to the sums of the bins of its lags."""

    def added(sum_: Array, adjoint_RxTxB: Array) -> Array:
        held = jax.nn.one_hot(bins_RxTxB, count, dtype=sum_.dtype)
        rows = jax.vmap(_with_start)(adjoint_RxTxB)
        return sum_ + jnp.einsum("rtbd,rtb...->dtb...", held, rows)

    return {leaf: added(sums[leaf], adjoints_R[leaf]) for leaf in sums}
