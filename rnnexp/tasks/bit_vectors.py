"""Answers of bits, for the tasks of Graves, Wayne & Danihelka 2014, "Neural Turing machines".

A sequence shows vectors of bits and ends with blank inputs, at which the answer is due. Outputs
are logits of bits, each an independent Bernoulli variable. The answer alone is scored:

| score | is |
| --- | --- |
| loss | cross-entropy of the answer, nats a sequence |
| wrong_bits | bits on the wrong side of probability 1/2, a sequence |
| error_rate | wrong bits as a fraction of the answer's bits |

The loss is a sum, as in the paper ("cost per sequence"): a longer answer has more of it, and its
gradient. No task here has a teacher, as true outputs would be infinite logits.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.masking import take_steps, valid_steps
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Lengths, Score, Task
from rnnexp.tasks.scores import once


def bits_task(
    name: str,
    draw: Callable[[Key, int], Batch],
    *,
    input_size: int,
    output_size: int,
    num_steps: int,
    baseline: dict[str, float],
    lengths: Lengths,
) -> Task:
    """A task whose answer comes after the last step at which the last input channel is 1."""

    def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
        return answer_scores(logits_TxBxO, batch.targets, answer_steps(batch))

    source = Endless(draw)
    return Task(
        name=name,
        mode="synchronous",
        input_size=input_size,
        output_size=output_size,
        num_steps=num_steps,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline=baseline,
        headline="loss",
        higher_is_better=False,
        causal=False,
        lengths=lengths,
    )


def answer_steps(batch: Batch) -> Array:
    """Which steps are of the answer, (T, B): those after the last flag, in the last channel."""
    flag_TxB = batch.inputs_TxBxI[..., -1] > 0.5
    valid_TxB = valid_steps(flag_TxB.shape[0], batch.lengths_B)
    t_Tx1 = jnp.arange(flag_TxB.shape[0], dtype=jnp.int32)[:, None]
    last_1xB = jnp.max(jnp.where(flag_TxB & valid_TxB, t_Tx1, -1), axis=0, keepdims=True)
    return (t_Tx1 > last_1xB) & valid_TxB


def answer_scores(logits_TxBxO: Array, bits_TxBxO: Array, answer_TxB: Array) -> dict[str, Score]:
    """The scores of the module's table, over the steps of the answer."""
    counted_TxBx1 = answer_TxB[..., None]
    loss_TxBxO = optax.sigmoid_binary_cross_entropy(logits_TxBxO, bits_TxBxO)
    wrong_TxBxO = (logits_TxBxO > 0) != (bits_TxBxO > 0.5)

    def total(value_TxBxO: Array) -> Array:
        return jnp.sum(jnp.where(counted_TxBx1, value_TxBxO, jnp.zeros_like(value_TxBxO)), (0, 2))

    wrong_B = total(wrong_TxBxO.astype(logits_TxBxO.dtype))
    bits_B = jnp.sum(answer_TxB, 0).astype(logits_TxBxO.dtype) * logits_TxBxO.shape[-1]
    return {
        "loss": once(total(loss_TxBxO)),
        "wrong_bits": once(wrong_B),
        "error_rate": Score(wrong_B, bits_B),
    }


def even_baseline(bits: float) -> dict[str, float]:
    """The scores of probability 1/2 for each of so many bits of an answer, on average.

    Without memory nothing is better where every bit is 1 half of the time.
    """
    return {"loss": bits * math.log(2), "wrong_bits": bits / 2, "error_rate": 0.5}


def draw_vectors(key: Key, batch_size: int, longest: int, bits: int) -> Array:
    """Vectors of independent even bits, (longest, B, bits), as 0 and 1."""
    shape = (longest, batch_size, bits)
    return jax.random.bernoulli(key, shape=shape).astype(float)


def draw_counts(key: Key, batch_size: int, least: int, most: int) -> Array:
    """Whole numbers (B,), uniform from `least` to `most`."""
    return jax.random.randint(key, (batch_size,), least, most + 1, dtype=jnp.int32)


def placed(vectors_LxBxI: Array, index_TxB: Array, there_TxB: Array) -> Array:
    """At each step the vector of that index, (T, B, I); blank (0) where there is none."""
    index = jnp.clip(index_TxB, 0, vectors_LxBxI.shape[0] - 1)
    found_TxBxI = take_steps(vectors_LxBxI, index)
    return jnp.where(there_TxB[..., None], found_TxBxI, jnp.zeros_like(found_TxBxI))


def require_range(least: tuple[str, int], most: tuple[str, int], floor: int = 1) -> None:
    """Raise `UsageError` unless floor <= least <= most; both are an option's name and value."""
    if least[1] < floor:
        raise UsageError(f"{least[0]} must be at least {floor}, not {least[1]}")
    if most[1] < least[1]:
        raise UsageError(f"{most[0]} must be at least {least[0]} = {least[1]}, not {most[1]}")


def require_bits(bits: int) -> None:
    """Raise `UsageError` unless a vector has a bit."""
    require_at_least(1, bits=bits)
