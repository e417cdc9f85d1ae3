"""Evaluation, which counts every example of a split once. No input or output."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Batch, Key, State, Tree
from rnnexp.models.decode import greedy
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.scoring import evaluation_scores_of, own_scores
from rnnexp.models.transduction import Transducer
from rnnexp.tasks.base import Bucketed, Endless, Finite, Score, Stream
from rnnexp.tasks.batches import evaluation_batch, stream_batch, stream_windows
from rnnexp.tasks.transduction import exact_match
from rnnexp.train.data_parallel import add_up, divide_evaluation, own_batches, own_examples
from rnnexp.train.program import Recipe, apply_model, start_states
from rnnexp.train.weight_noise import noisy_weights

Sums = dict[str, tuple[Array, Array]]
"""Totals and counts by the name of the score."""
Evaluate = Callable[[Tree, Key, Tree], dict[str, Array]]
"""`(params, key, arrays) -> {name: mean}`."""


def evaluate_function(recipe: Recipe, split: str, batch_size: int, examples: int) -> Evaluate:
    """The evaluation of a split over `examples`.

    Means pool all terms of all examples, and the task's `derived` figures follow from them; an
    incomplete last batch is padded with weight 0. Noise is off, unless the recipe wants that of
    the weights: one draw for all evaluations of a split, from its key. A network with output
    feedback gets the true outputs for the task's `forced_steps`, then its own. Batches are divided
    over the devices; of a stream the segments of each batch are, if they divide equally, or every
    device evaluates all.
    """
    source = getattr(recipe.task, split)

    def evaluate(params: Tree, key: Key, arrays: Tree) -> dict[str, Array]:
        if recipe.noisy_evaluation:
            params = noisy_weights(recipe, params, key)
        match source:
            case Bucketed():
                parts = []
                for n, bucket in enumerate(source.buckets):
                    own, size = Finite(bucket.arrays, bucket.size, source.take), bucket.size
                    parts.append(
                        _over_batches(recipe, params, own, arrays[n], key, batch_size, size)
                    )
                sums = _summed(jax.tree.map(lambda *values: jnp.stack(values), *parts))
            case Stream():
                sums = _over_stream(recipe, params, source, arrays, batch_size)
            case _:
                sums = _over_batches(recipe, params, source, arrays, key, batch_size, examples)
        sums = add_up(recipe.devices, sums)
        means = {name: total / count for name, (total, count) in sums.items()}
        return means | {name: of(means) for name, of in recipe.task.derived.items()}

    return divide_evaluation(recipe.devices, evaluate)


def _over_batches(
    recipe: Recipe,
    params: Tree,
    source: Endless | Finite,
    arrays: Tree,
    key: Key,
    batch_size: int,
    examples: int,
) -> Sums:
    """Totals and counts over all batches of a source."""

    def one(index: Array) -> Sums:
        batch, weight_B = evaluation_batch(source, arrays, key, index, batch_size, examples)
        return _weighted(batch_scores(recipe, params, batch)[0], weight_B)

    return _summed(jax.lax.map(one, own_batches(recipe.devices, -(-examples // batch_size))))


def _over_stream(
    recipe: Recipe, params: Tree, source: Stream, arrays: Tree, batch_size: int
) -> Sums:
    """Totals and counts over a stream in parallel segments, with states carried on."""
    size = min(batch_size, source.size)
    parts = recipe.devices if size % recipe.devices == 0 else 1

    def one(carry: list[State], window: Array) -> tuple[list[State], Sums]:
        batch = own_examples(parts, stream_batch(source, arrays, window, size), recipe.task.mode)
        scored, carry = batch_scores(recipe, params, batch, carry)
        return carry, _weighted(scored, jnp.ones(size // parts))

    windows = jnp.arange(stream_windows(source, size), dtype=jnp.int32)
    starts = start_states(recipe.model(params), size // parts)
    return _summed(jax.lax.scan(one, starts, windows)[1])


def batch_scores(
    recipe: Recipe, params: Tree, batch: Batch, states: list[State] | None = None
) -> tuple[Mapping[str, Score], list[State]]:
    """All scores of a batch without dropout and zoneout, and the final states.

    Where the task's loss is not what is minimised, `objective` is among them. Those of an
    asynchronous task include `exact`: whether greedy decoding gives the target.
    """
    task = recipe.task
    options = ForwardOptions(states=states, forced_steps=task.forced_steps)
    got = apply_model(recipe, params, batch, options)
    model = recipe.model(params)
    scored = dict(evaluation_scores_of(model, task.scores)(got.outputs, batch))
    if recipe.objective is not None and own_scores(model) is None:
        scored |= recipe.objective.score(task, scored, got.outputs, batch)
    if isinstance(model, Transducer):
        written = greedy(model, batch.inputs_TxBxI, batch.lengths_B, steps=task.target_steps)
        scored["exact"] = exact_match(written, batch)
    return scored, got.states


def _weighted(scored: Mapping[str, Score], weight_B: Array) -> Sums:
    """Totals and counts of a batch without examples of weight 0, even if not finite."""

    def total(x_B: Array) -> Array:
        return jnp.sum(jnp.where(weight_B > 0, x_B, jnp.zeros_like(x_B)))

    return {name: (total(score.total_B), total(score.count_B)) for name, score in scored.items()}


def _summed(stacked: Any) -> Sums:
    """Sums over the leading axis."""
    sums: Sums = jax.tree.map(lambda x: jnp.sum(x, 0), stacked)
    return sums
