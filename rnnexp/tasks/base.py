"""The task contract: where batches come from, how outputs are scored, what chance scores.

A score is a pair of per-example totals and counts, so that averages over many batches
pool valid steps and never count padding: mean = sum(totals) / sum(counts).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp

from rnnexp.core.types import Array, Batch, Key, Tree


class Score(NamedTuple):
    """What each example adds to an average: its total and the number of terms in it."""

    total_B: Array
    count_B: Array

    def mean(self) -> Array:
        """The average over all terms of all examples."""
        return jnp.sum(self.total_B) / jnp.sum(self.count_B)


@dataclass(frozen=True)
class Endless:
    """Batches drawn from a key, as many as wanted. `draw`: `(key, batch_size) -> Batch`."""

    draw: Callable[[Key, int], Batch]


@dataclass(frozen=True)
class Finite:
    """A data set on the device. `take`: `(arrays, indices_B) -> Batch`, inside jit."""

    arrays: Tree
    size: int
    take: Callable[[Tree, Array], Batch]


@dataclass(frozen=True)
class Bucket:
    """Sequences of like length, padded to `steps`: `size` of them, in `arrays`."""

    arrays: Tree
    size: int
    steps: int


@dataclass(frozen=True)
class Bucketed:
    """A data set of sequences of many lengths, in buckets, so that little is padding.

    `take`: `(bucket.arrays, indices_B) -> Batch`, inside jit; the batch has `lengths_B`.
    """

    buckets: tuple[Bucket, ...]
    take: Callable[[Tree, Array], Batch]


@dataclass(frozen=True)
class Stream:
    """One long sequence, read in windows side by side, the state carried from one to the next.

    `take`: `(arrays, positions_TxB) -> Batch`, inside jit, where `positions` are those of
    the inputs, 0 to `size` - 1; targets may come from one position further.
    """

    arrays: Tree
    size: int
    window_steps: int
    take: Callable[[Tree, Array], Batch]


Source: TypeAlias = Endless | Finite | Bucketed | Stream


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: its batches, its scores and its closed-form baseline.

    Attributes:
      name: what the table calls it.
      mode: one of `rnnexp.core.registry.MODES`.
      input_size, output_size: features of a step, and outputs.
      num_steps: T, the number of steps of the longest (padded) sequence.
      train, valid, test: where batches come from.
      scores: `(outputs, batch) -> {name: Score}`; "loss" (nats, or squared error) is
        what is trained, the rest is reported.
      baseline: what the best predictor without memory scores, by the names of `scores`.
      headline: the score that says how good a model is; best checkpoints go by it.
      higher_is_better: which way the headline points.
      references: further closed-form figures that are logged and printed, by what they
        are, such as {"loss of 3-grams": 2.046}.
      teacher: `batch -> (T, B, O)`, the true outputs that a network with output feedback
        is shown in training; None: the task has none at every step.
      forced_steps: how many steps of an evaluation have a teacher; the rest run free.
      target_steps: U, the longest target of an asynchronous task; 0 otherwise. Its
        targets are (U, B) symbols, of which 0 is the stop symbol: every target ends with
        one, and is padded with them.
      alphabet: the symbols of a task that writes text, in the order of its classes; None
        where there are no symbols to show.
      input_alphabet: the symbols that it reads, where those are others.
    """

    name: str
    mode: str
    input_size: int
    output_size: int
    num_steps: int
    train: Source
    valid: Source
    test: Source
    scores: Callable[[Array, Batch], Mapping[str, Score]]
    baseline: Mapping[str, float]
    headline: str
    higher_is_better: bool
    references: Mapping[str, float] = field(default_factory=dict)
    teacher: Callable[[Batch], Array] | None = None
    forced_steps: int = 0
    target_steps: int = 0
    alphabet: str | None = None
    input_alphabet: str | None = None
