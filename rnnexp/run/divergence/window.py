"""The window of training steps that ends with the failed one. No input or output."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnexp.core.tree import named_leaves, tree_bytes
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Records

WINDOW_STEPS = 32
"""How many steps before the failed one are recorded."""
STATE_BYTES = 1 << 28
"""If its states take more (256 MiB), a window keeps those of its first and last step only."""


class Window(NamedTuple):
    """The last steps of a run: at most `WINDOW_STEPS`, and the failed one.

    Attributes:
      steps: their numbers, (N,); the last one failed.
      scalars: the figures of every step, (N,) by name.
      norms: profiles (N, L, T) by state leaf.
      states: the state before each step, on the host, by the step's number; if they are large
        (`STATE_BYTES`), only the first and the last.
      failed: the record of the failed step.
      origin: the step whose kept state the window was computed from.
      exact: whether this gave the run's own state, bit for bit. If not, only the figures of
        the last step are certainly the run's own.
    """

    steps: np.ndarray
    scalars: dict[str, np.ndarray]
    norms: dict[str, np.ndarray]
    states: dict[int, TrainState]
    failed: Records
    origin: int
    exact: bool


class Recording(NamedTuple):
    """A window and what explains it.

    Attributes:
      growth: the data of `GradientGrowth` with the gate that changed most; None: nothing grew.
      gates: by step of the window, unit and gate the fractions (2, T) of closed and of open
        gate values; NaN where the sequence has no such step.
      chunk_steps: the most steps of a chunk, which the compiled program depends on.
      lanes, lane: how many runs trained side by side on the device, and which one this was.
      forward: of a loss that is not finite the first such state in the forward pass, as
        `ForwardPass.origin` gives it.
    """

    window: Window
    growth: dict[str, Any] | None
    gates: Mapping[int, Mapping[str, Mapping[str, np.ndarray]]]
    chunk_steps: int
    lanes: int
    lane: int
    forward: dict[str, Any] | None = None


def gather(rows: Sequence[tuple[int, TrainState, Records]], *, origin: int, exact: bool) -> Window:
    """The window of some steps: of each its number, the state before it and its record."""
    records = [record for _, _, record in rows]
    thin = len(rows) * tree_bytes(rows[0][1]) > STATE_BYTES
    kept = [rows[0], rows[-1]] if thin else rows
    return Window(
        np.array([step for step, _, _ in rows], np.int32),
        {k: np.array([r.scalars[k][0] for r in records]) for k in records[0].scalars},
        {k: np.stack([np.asarray(r.norms[k][0]) for r in records]) for k in records[0].norms},
        {step: state for step, state, _ in kept},
        records[-1],
        origin,
        exact,
    )


def same_bits(one: Any, other: Any) -> bool:
    """Whether two trees have the same names and the same bits; so NaNs may differ."""
    left, right = named_leaves(one), named_leaves(other)
    return left.keys() == right.keys() and all(
        np.asarray(left[name]).tobytes() == np.asarray(right[name]).tobytes() for name in left
    )
