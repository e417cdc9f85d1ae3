"""Scores shared by tasks: averages by example and by step, cross-entropy, accuracy."""

import jax.numpy as jnp
import optax

from rnnexp.core.masking import valid_steps
from rnnexp.core.types import Array
from rnnexp.tasks.base import Score


def once(total_B: Array) -> Score:
    """A score with one term an example."""
    return Score(total_B, jnp.ones_like(total_B))


def over_steps(value_TxB: Array, lengths_B: Array | None = None) -> Score:
    """A score with one term a valid step."""
    steps = value_TxB.shape[0]
    if lengths_B is None:
        return Score(jnp.sum(value_TxB, 0), jnp.full_like(value_TxB[0], steps))
    valid_TxB = valid_steps(steps, lengths_B)
    total_B = jnp.sum(jnp.where(valid_TxB, value_TxB, jnp.zeros_like(value_TxB)), 0)
    return Score(total_B, lengths_B.astype(value_TxB.dtype))


def per_sequence(value_TxB: Array, lengths_B: Array | None = None) -> Score:
    """A score with one term a sequence, the mean over its valid steps."""
    pooled = over_steps(value_TxB, lengths_B)
    return once(pooled.total_B / pooled.count_B)


def cross_entropy(logits: Array, labels: Array) -> Array:
    """-ln p(label), in nats, along the last axis of `logits`."""
    loss: Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return loss


def correct(logits: Array, labels: Array) -> Array:
    """1 where the largest logit is the label's, else 0, in the dtype of the logits."""
    return (jnp.argmax(logits, -1).astype(labels.dtype) == labels).astype(logits.dtype)
