"""Streaming XOR: after every step, the exclusive or of the bits one and two delays ago.

    y_t = x_{t-d} + x_{t-2d} + ... + x_{t-nd}   mod 2,      d = `delay_steps`, n = `bits`

One bit, 0 or 1, comes in a step. With two bits the task is the delayed XOR of Engelken 2023,
"Gradient flossing: improving gradient descent through dynamic control of Jacobians", with one its
delayed copy; the author's code has d and n apart, so that the longest delay is n d. Unlike
`delayed_xor` there is an answer in every step and no noise: the network holds the last n d bits.
Steps whose answer depends on bits before the first are not scored.

Targets are independent of the bits of the last d steps, so without memory chance is the best: ln(2)
nats, an accuracy of 1/2. With it the loss is 0.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task, one_length
from rnnexp.tasks.scores import correct, cross_entropy, over_steps


def streaming_xor(*, delay_steps: int = 10, bits: int = 2, length_steps: int = 300) -> Task:
    """Exclusive or of the bits 1, 2 ... `bits` delays ago, in every step.

    Args:
      delay_steps: steps of a delay; 1 or more.
      bits: how many delayed bits there are; 1: a delayed copy.
      length_steps: of a sequence, more than `bits` delays.

    Raises `UsageError` for other numbers.
    """
    require_at_least(1, delay_steps=delay_steps, bits=bits)
    first = delay_steps * bits
    if length_steps <= first:
        raise UsageError(
            f"length_steps must be above {first} (bits x delay_steps), not {length_steps}"
        )

    def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
        logits, targets = logits_TxBxO[first:], batch.targets[first:]
        return {
            "loss": over_steps(cross_entropy(logits, targets)),
            "accuracy": over_steps(correct(logits, targets)),
        }

    source = Endless(lambda key, batch_size: draw(key, batch_size, delay_steps, bits, length_steps))
    return Task(
        name="streaming_xor",
        mode="synchronous",
        input_size=1,
        output_size=2,
        num_steps=length_steps,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline={"loss": math.log(2), "accuracy": 0.5},
        headline="accuracy",
        higher_is_better=True,
        causal=False,
        lengths=one_length(
            "delay steps",
            delay_steps,
            lambda n: streaming_xor(delay_steps=n, bits=bits, length_steps=length_steps),
        ),
    )


def draw(key: Key, batch_size: int, delay_steps: int, bits: int, length_steps: int) -> Batch:
    """Bits as 0 and 1, (T, B, 1), and the answers, (T, B)."""
    x_TxB = jax.random.bernoulli(key, shape=(length_steps, batch_size)).astype(jnp.int32)
    return Batch(x_TxB.astype(float)[..., None], answers(x_TxB, delay_steps, bits))


def answers(x_TxB: Array, delay_steps: int, bits: int) -> Array:
    """Targets (T, B), int32; bits before the first count as 0."""
    steps = x_TxB.shape[0]
    padded = jnp.pad(x_TxB, ((delay_steps * bits, 0), (0, 0)))
    delayed = [padded[delay_steps * n :][:steps] for n in range(bits)]
    return sum(delayed, start=jnp.zeros_like(x_TxB)) % 2
