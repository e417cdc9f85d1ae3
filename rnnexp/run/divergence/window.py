"""The window of training steps that ends with the one that failed. No input or output."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnexp.core.tree import named_leaves, tree_bytes
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Records

WINDOW_STEPS = 32
"""How many steps before the one that failed the recorder reaches back."""
STATE_BYTES = 1 << 28
"""A window whose states take more (256 MiB) keeps those of its first and last step only."""


class Window(NamedTuple):
    """The last steps of a run: up to `WINDOW_STEPS`, and the one that failed.

    Attributes:
      steps: their numbers, (N,); the last one failed.
      scalars: what every step measured, (N,) by name.
      norms: profiles (N, L, T) by state leaf.
      states: the state before each step, on the host, by the step's number; of large ones
        (`STATE_BYTES`) the first and the last.
      failed: the record of the step that failed.
      origin: the step from whose kept state the window was computed again.
      exact: whether that gave the run's own state, bit for bit. If not, only what belongs to
        the last step is the run's own.
    """

    steps: np.ndarray
    scalars: dict[str, np.ndarray]
    norms: dict[str, np.ndarray]
    states: dict[int, TrainState]
    failed: Records
    origin: int
    exact: bool


class Flight(NamedTuple):
    """A window and what is made of it.

    `growth`: the data of `GradientGrowth` with the gate that changed most; None: nothing grew.
    `gates`: by step of the window, unit and gate the shares (2, T) of values that are closed
    and open, NaN where there is no step.
    `lanes`, `slot`: how many runs stood side by side on the device, and where this one did.
    """

    window: Window
    growth: dict[str, Any] | None
    gates: Mapping[int, Mapping[str, Mapping[str, np.ndarray]]]
    chunk_steps: int
    lanes: int
    slot: int


def gather(rows: Sequence[tuple[int, TrainState, Records]], *, origin: int, exact: bool) -> Window:
    """A window from the number, the state before, and the record of every step."""
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
    """Whether two trees hold the same numbers, to the bit; NaNs of other bits differ."""
    left, right = named_leaves(one), named_leaves(other)
    return left.keys() == right.keys() and all(
        np.asarray(left[name]).tobytes() == np.asarray(right[name]).tobytes() for name in left
    )
