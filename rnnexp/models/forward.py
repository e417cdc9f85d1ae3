"""The options of a forward pass through a model."""

from collections.abc import Sequence
from typing import NamedTuple

import jax

from rnnexp.core.types import Array, Key, State, Tree
from rnnexp.models.noise import Rates
from rnnexp.scan.unroll import Probe


class ForwardOptions(NamedTuple):
    """Options of a forward pass; the defaults are those of an evaluation.

    Attributes:
      lengths_B: valid steps of each sequence; None: all are full.
      context: of the batch, for units that read one.
      states: each unit's state before the first step; None: its own initial state.
      probes: one a unit, applied to its state after every step.
      key: of dropout and zoneout; None: no noise.
      rates: rates of dropout in place of the structure's, if that has any.
      taught_TxBxO: for a cell that reads the network's output, the true outputs.
      forced_steps: number of steps that show them; None: all.
      keep_states: also return the trajectory of every unit.
    """

    lengths_B: Array | None = None
    context: Tree = None
    states: Sequence[State] | None = None
    probes: Sequence[Probe | None] | None = None
    key: Key | None = None
    rates: Rates | None = None
    taught_TxBxO: Array | None = None
    forced_steps: int | None = None
    keep_states: bool = False

    def split_key(self, parts: int) -> Sequence[Key | None]:
        """A key for each part of a model; None for all in an evaluation."""
        return [None] * parts if self.key is None else list(jax.random.split(self.key, parts))


EVALUATION = ForwardOptions()
