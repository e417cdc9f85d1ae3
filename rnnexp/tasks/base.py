"""The task contract: where batches come from, how outputs are scored, what chance scores.

A score is a pair of per-example totals and counts, so that an average over many batches
pools the valid steps: mean = sum(totals) / sum(counts).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp

from rnnexp.core.types import Array, Batch, Key, Tree


class Score(NamedTuple):
    """What each example adds to an average: a total and its number of terms."""

    total_B: Array
    count_B: Array

    def mean(self) -> Array:
        """The average over all terms of all examples."""
        return jnp.sum(self.total_B) / jnp.sum(self.count_B)


@dataclass(frozen=True)
class Endless:
    """Any number of batches, drawn from a key. `draw`: `(key, batch_size) -> Batch`.

    It is compiled, so random numbers come from the key alone.
    """

    draw: Callable[[Key, int], Batch]


@dataclass(frozen=True)
class Finite:
    """A data set on the device. `take`: `(arrays, indices_B) -> Batch`, inside jit.

    `augment`: `(key, batch) -> batch`, a training batch with random changes, of the same shapes;
    None: it is trained on as it is.
    """

    arrays: Tree
    size: int
    take: Callable[[Tree, Array], Batch]
    augment: Callable[[Key, Batch], Batch] | None = None


@dataclass(frozen=True)
class Bucket:
    """`size` sequences of similar lengths in `arrays`, padded to `steps`."""

    arrays: Tree
    size: int
    steps: int


@dataclass(frozen=True)
class Bucketed:
    """A data set of sequences of many lengths, in buckets, with little padding.

    `take`: `(bucket.arrays, indices_B) -> Batch`, inside jit; the batch has `lengths_B`.
    """

    buckets: tuple[Bucket, ...]
    take: Callable[[Tree, Array], Batch]


@dataclass(frozen=True)
class Stream:
    """One long sequence, read in parallel windows; the state goes from each to the next.

    `take`: `(arrays, positions_TxB) -> Batch`, inside jit, with the positions of the inputs,
    0 to `size` - 1; targets may come from one position further.
    """

    arrays: Tree
    size: int
    window_steps: int
    take: Callable[[Tree, Array], Batch]


Source: TypeAlias = Endless | Finite | Bucketed | Stream


@dataclass(frozen=True)
class Lengths:
    """The lengths at which a task can be tested, besides those that it trains on.

    Attributes:
      unit: what a length counts, in the plural: `vectors`, `delay steps`.
      train: the shortest and the longest length of the training source.
      at: `length -> Task`: the same task with sequences of that length alone, of which the test
        source, the scores and the baseline are used. It raises `UsageError` for a length that
        the task cannot have.
      test: the lengths that are tested if `config.eval.lengths` names none.
    """

    unit: str
    train: tuple[int, int]
    at: Callable[[int], "Task"]
    test: tuple[int, ...] = ()


def one_length(unit: str, length: int, at: Callable[[int], "Task"]) -> Lengths:
    """The `Lengths` of a task that trains on sequences of one length."""
    return Lengths(unit, (length, length), at)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: its batches, its scores and its closed-form baseline.

    Attributes:
      name: its name in the table.
      mode: one of `rnnexp.core.registry.MODES`.
      input_size, output_size: features of a step, and outputs.
      num_steps: T, the number of steps of the longest (padded) sequence, and of every batch
        without lengths.
      train, valid, test: sources of batches.
      scores: `(outputs, batch) -> {name: Score}`; training minimises "loss" (nats, or
        squared error), the rest is reported.
      baseline: scores of the best predictor without memory, by the names of `scores`.
      causal: of a synchronous task, whether the inputs after a step show that step's target, as
        where the target is the next input. A network may then see inputs up to the present
        alone: a second, backward direction is refused. None: the task does not say, and a
        backward direction is refused too. Tasks of other modes answer whole sequences.
      headline: the score that selects the best checkpoint.
      higher_is_better: whether a larger headline is better.
      references: further closed-form figures that are logged and printed, by what they
        are, such as {"loss of 3-grams": 2.046}.
      teacher: `batch -> (T, B, O)`, the true outputs that training shows to a network with
        output feedback; None: the task has none at every step.
      forced_steps: number of steps of an evaluation with a teacher; the rest run free.
      target_steps: U, the longest target of an asynchronous task; 0 otherwise. Its
        targets are (U, B) symbols; the stop symbol 0 ends and pads each.
      alphabet: the symbols of a task that writes text, in the order of its classes; None:
        it has no symbols.
      input_alphabet: the symbols that it reads, if those are others.
      words: the words that it reads, by their numbers; None: it reads no words.
      output_words: the words that an asynchronous task writes, by their classes, the stop symbol
        included; None: it writes no words.
      derived: further figures of an evaluation, by name: functions of the mean scores, such as
        perplexity, exp of the mean loss. They may be the headline or in the baseline.
      lengths: the lengths at which a trained network can be tested; None: the task has no other.
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
    causal: bool | None = None
    references: Mapping[str, float] = field(default_factory=dict)
    teacher: Callable[[Batch], Array] | None = None
    forced_steps: int = 0
    target_steps: int = 0
    alphabet: str | None = None
    input_alphabet: str | None = None
    words: tuple[str, ...] | None = None
    output_words: tuple[str, ...] | None = None
    derived: Mapping[str, Callable[[Mapping[str, Array]], Array]] = field(default_factory=dict)
    lengths: Lengths | None = None
