"""Associative recall: the value that was stored under a key.

    k_1 v_1 k_2 v_2 ... k_P v_P  k_q      answer  v_q

Graves, Wayne & Danihelka 2014, "Neural Turing machines", section 4.3, in the form with
single symbols of Ba, Hinton, Mnih, Leibo & Ionescu 2016, "Using fast weights to attend
to the recent past", section 4.1. The keys of a sequence are distinct, the values uniform
and independent; keys and values are different symbols, one-hot in one vector. The
sequence ends with the query, one of its keys.

The query alone says nothing about the value, so without memory chance is the best:
ln(symbols) nats, an accuracy of 1 / symbols.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Batch, Key
from rnnexp.tasks.base import Task, one_length
from rnnexp.tasks.classification import drawn_classes


def associative_recall(*, pairs: int = 3, symbols: int = 8) -> Task:
    """Recall one of `pairs` values, from `symbols` keys and as many values.

    Args:
      pairs: stored key-value pairs, 1 to `symbols`.
      symbols: number of keys, and of values; 2 or more.

    Raises `UsageError` for fewer than 2 symbols, and unless 1 <= pairs <= symbols.
    """
    require_at_least(2, symbols=symbols)
    if not 1 <= pairs <= symbols:
        raise UsageError(f"pairs must be 1 to {symbols} (symbols), for keys differ; not {pairs}")
    return drawn_classes(
        "associative_recall",
        lambda key, batch_size: draw(key, batch_size, pairs, symbols),
        input_size=2 * symbols,
        classes=symbols,
        num_steps=2 * pairs + 1,
        lengths=one_length("pairs", pairs, lambda n: associative_recall(pairs=n, symbols=symbols)),
    )


def draw(key: Key, batch_size: int, pairs: int, symbols: int) -> Batch:
    """One-hot (2 * pairs + 1, B, 2 * symbols), keys first in the vector; targets (B,)."""
    key_keys, key_values, key_query = jax.random.split(key, 3)
    every_SxB = jnp.broadcast_to(
        jnp.arange(symbols, dtype=jnp.int32)[:, None], (symbols, batch_size)
    )
    keys_PxB = jax.random.permutation(key_keys, every_SxB, independent=True)[:pairs]
    values_PxB = jax.random.randint(key_values, keys_PxB.shape, 0, symbols, dtype=jnp.int32)
    query_1xB = jax.random.randint(key_query, (1, batch_size), 0, pairs, dtype=jnp.int32)
    stored = jnp.stack([keys_PxB, symbols + values_PxB], 1).reshape(2 * pairs, batch_size)
    asked_1xB = jnp.take_along_axis(keys_PxB, query_1xB, 0)
    sequence_TxB = jnp.concatenate([stored, asked_1xB])
    answer_B = jnp.take_along_axis(values_PxB, query_1xB, 0)[0]
    return Batch(jax.nn.one_hot(sequence_TxB, 2 * symbols, dtype=float), answer_B)
