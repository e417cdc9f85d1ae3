"""The task contract: where batches come from, how outputs are scored, what chance scores.

A score is a pair of per-example totals and counts, so that averages over many batches
pool valid steps and never count padding: mean = sum(totals) / sum(counts).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from rnnexp.types import Array, Batch, Key, Tree


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


Source: TypeAlias = Endless | Finite


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: its batches, its scores and its closed-form baseline.

    Attributes:
      name: what the table calls it.
      mode: one of `rnnexp.tables.MODES`.
      input_size, output_size: features of a step, and outputs.
      num_steps: T, the number of steps of every (padded) sequence.
      train, valid, test: where batches come from.
      scores: `(outputs, batch) -> {name: Score}`; "loss" (nats, or squared error) is
        what is trained, the rest is reported.
      baseline: what the best predictor without memory scores, by the names of `scores`.
      headline: the score that says how good a model is; best checkpoints go by it.
      higher_is_better: which way the headline points.
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


def source_arrays(source: Source) -> Tree:
    """What a source keeps on the device: passed to compiled functions, never closed over."""
    return source.arrays if isinstance(source, Finite) else ()


def epoch_length(source: Source, batch_size: int) -> int | None:
    """Steps of one epoch, the incomplete last batch left out; None for endless sources."""
    return source.size // batch_size if isinstance(source, Finite) else None


def epoch_order(source: Source, key: Key, step: Array, batch_size: int) -> Array:
    """The shuffled order of the epoch that `step` is in, a function of (key, step) alone."""
    length = epoch_length(source, batch_size)
    if not isinstance(source, Finite) or length is None:
        return jnp.zeros(0, jnp.int32)
    epoch_key = jax.random.fold_in(key, step // length)
    return jax.random.permutation(epoch_key, jnp.arange(source.size, dtype=jnp.int32))


def training_batch(
    source: Source, arrays: Tree, order_N: Array, key: Key, step: Array, batch_size: int
) -> Batch:
    """The batch of a step: drawn from the step's key, or the next of the epoch's order."""
    if isinstance(source, Endless):
        return source.draw(jax.random.fold_in(key, step), batch_size)
    start = (step % (source.size // batch_size)) * batch_size
    return source.take(arrays, jax.lax.dynamic_slice(order_N, (start,), (batch_size,)))


def evaluation_batch(
    source: Source, arrays: Tree, key: Key, index: Array, batch_size: int, examples: int
) -> tuple[Batch, Array]:
    """Batch `index` of an evaluation over `examples`, and 1 for its examples, 0 for fill."""
    position_B = index * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
    weight_B = (position_B < examples).astype(float)
    if isinstance(source, Endless):
        return source.draw(jax.random.fold_in(key, index), batch_size), weight_B
    return source.take(arrays, jnp.minimum(position_B, source.size - 1)), weight_B
