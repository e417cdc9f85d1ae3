"""A run over time in segments that the backward pass recomputes (rematerialisation).

Only the states between segments are kept, so memory grows with T / k + k for segments of
k steps; Chen et al. 2016, "Training deep nets with sublinear memory cost".
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, State, Tree

SegmentRun = Callable[[State, Tree], tuple[State, Tree]]
"""`(state, rows) -> (state, outputs)` for any number of steps, the leading axis of rows and
outputs."""


def in_segments(run: SegmentRun, state: State, rows: Tree, remat_steps: int) -> tuple[State, Tree]:
    """`run` over all rows, in segments of about `remat_steps`; 0 or at least all: at once."""
    steps = len(jax.tree.leaves(rows)[0])
    if not 0 < remat_steps < steps:
        return run(state, rows)
    length = segment_length(steps, remat_steps)
    segments, rest = divmod(steps, length)
    whole = segments * length

    def cut(x: Array) -> Array:
        return x[:whole].reshape(segments, length, *x.shape[1:])

    state, outputs = jax.lax.scan(jax.checkpoint(run), state, jax.tree.map(cut, rows))
    outputs = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), outputs)
    if rest:
        state, last = run(state, jax.tree.map(lambda x: x[whole:], rows))
        outputs = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), outputs, last)
    return state, outputs


def segment_length(steps: int, remat_steps: int) -> int:
    """The steps of a segment: `remat_steps`, or down to three quarters of it for a smaller rest.

    XLA shares no memory between the segments and the rest.
    """
    lengths = range(remat_steps, remat_steps - remat_steps // 4 - 1, -1)
    return min(lengths, key=lambda length: steps % length)
