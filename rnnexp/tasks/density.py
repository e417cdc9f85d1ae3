"""Distributions of patterns of bits: what tasks of mode `density` have in common.

A pattern is input and target, and the context of an example, with a `seed` for the random numbers
of a chain that begins there: a fixed one in evaluations, one of its own at every step of training.

Outputs are logits of independent bits, and `loss` is -ln p of a pattern, in nats. A network that
is a distribution itself scores itself, in the same nats.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnnexp.core.types import Array, Batch, Key, Tree
from rnnexp.tasks.base import Endless, Finite, Score, Task
from rnnexp.tasks.scores import once

PRIOR_COUNT = 0.5
"""Added to either count of a bit (Jeffreys' prior)."""
FIRST_SEED = 0
"""Of the key from which the seeds of evaluations are made."""


def density_task(
    name: str,
    splits: dict[str, np.ndarray],
    *,
    redrawn: bool = False,
    references: dict[str, float] | None = None,
) -> Task:
    """A task on patterns of 0 and 1.

    The baseline has independent bits, with their frequencies in the training set.

    Args:
      splits: patterns (N, bits) for train, valid and test.
      redrawn: training draws its patterns with replacement, without epochs.
      references: further figures.
    """
    sources = {
        split: Finite(jnp.asarray(patterns, jnp.uint8), len(patterns), take, with_new_seeds)
        for split, patterns in splits.items()
    }
    whole = sources["train"]

    def draw(key: Key, batch_size: int) -> Batch:
        key_pattern, key_seed = jax.random.split(key)
        chosen_B = jax.random.randint(key_pattern, (batch_size,), 0, whole.size, jnp.int32)
        return with_new_seeds(key_seed, take(whole.arrays, chosen_B))

    return Task(
        name=name,
        mode="density",
        input_size=splits["train"].shape[1],
        output_size=splits["train"].shape[1],
        num_steps=1,
        train=Endless(draw) if redrawn else whole,
        valid=sources["valid"],
        test=sources["test"],
        scores=scores,
        baseline={"loss": independent_bits(splits["train"], splits["test"])},
        headline="loss",
        higher_is_better=False,
        references=references or {},
    )


def take(arrays: Tree, indices_B: Array) -> Batch:
    """Patterns, each with the seed of its number."""
    pattern_BxN = arrays[indices_B].astype(float)
    key = jax.random.key(FIRST_SEED)
    seed_Bx2 = jax.vmap(lambda index: jax.random.key_data(jax.random.fold_in(key, index)))(
        indices_B
    )
    return Batch(pattern_BxN[None], pattern_BxN, context={"pattern": pattern_BxN, "seed": seed_Bx2})


def with_new_seeds(key: Key, batch: Batch) -> Batch:
    """The same patterns with seeds drawn from a key."""
    keys_B = jax.random.split(key, len(batch.targets))
    return batch._replace(context={**batch.context, "seed": jax.random.key_data(keys_B)})


def scores(logits_BxN: Array, batch: Batch) -> dict[str, Score]:
    """-ln p of every pattern, in nats, of independent bits."""
    nats_BxN: Array = optax.sigmoid_binary_cross_entropy(logits_BxN, batch.targets)
    return {"loss": once(jnp.sum(nats_BxN, -1))}


def independent_bits(train_LxN: np.ndarray, test_LxN: np.ndarray) -> float:
    """Mean -ln p of test patterns under independent bits of the training set's frequencies."""
    ones_N = train_LxN.sum(0, dtype=np.int64)
    p_N = (ones_N + PRIOR_COUNT) / (len(train_LxN) + 2 * PRIOR_COUNT)
    return float(-np.mean(np.log(np.where(test_LxN > 0, p_N, 1 - p_N)).sum(1)))
