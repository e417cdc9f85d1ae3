"""Dynamic n-grams: learn from a sequence of bits which bit follows which five.

    input   x_1 ... x_199        target   x_2 ... x_200

Graves, Wayne & Danihelka 2014, "Neural Turing machines", section 4.4. Every sequence has a table
of its own: the probability that the next bit is 1 for each of the 32 possible last five bits,
drawn from Beta(1/2, 1/2). The first five bits are even; the others are drawn from the table, and
these alone are scored.

The best answer from the past is Bayes', as the paper has it: with n_1 ones among the n bits that
followed the same five bits, the next is 1 with probability (n_1 + 1/2) / (n + 1). `excess_bits` is
by how much a network is above it on the same sequences.

A table with an entry near 0 or 1 repeats a bit for long, so that the last bit alone says a
little: the baseline without memory. That, the expected loss of Bayes' answer, and that of the
table itself, are means over many simulated sequences (`expected_bits`).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task, one_length
from rnnexp.tasks.scores import once

MOST_BITS, MOST_ORDER = 10_000, 12
SEQUENCES, VALUES = 8192, 2_000_000
"""Simulated sequences at most, and numbers at a time or steps in all at most."""


def dynamic_ngrams(*, bits: int = 200, order: int = 6) -> Task:
    """Predict the bits of a sequence from a table of `order`-grams that is drawn with it.

    Args:
      bits: of a sequence; `order` to 10,000.
      order: n of the n-grams, 2 to 12: the next bit depends on the last n - 1.

    Raises `UsageError` for other numbers.
    """
    if not 2 <= order <= MOST_ORDER:
        raise UsageError(f"order must be 2 to {MOST_ORDER}, not {order}")
    if not order <= bits <= MOST_BITS:
        raise UsageError(f"bits must be {order} (order) to {MOST_BITS}, not {bits}")
    expected = expected_bits(bits, order)
    source = Endless(lambda key, batch_size: draw(key, batch_size, bits, order))
    return Task(
        name="dynamic_ngrams",
        mode="synchronous",
        input_size=1,
        output_size=1,
        num_steps=bits - 1,
        train=source,
        valid=source,
        test=source,
        scores=lambda logits_TxBx1, batch: scores(logits_TxBx1, batch, order),
        baseline={"loss": expected.last_bit * math.log(2), "bits": expected.last_bit},
        headline="loss",
        higher_is_better=False,
        causal=True,
        references={"bits of Bayes' answer": expected.bayes, "bits of the table": expected.table},
        lengths=one_length("bits", bits, lambda n: dynamic_ngrams(bits=n, order=order)),
    )


def draw(key: Key, batch_size: int, bits: int, order: int) -> Batch:
    """Bits (T, B, 1) as inputs, the bits that follow them as targets, T = `bits` - 1.

    sin^2(pi u / 2) of a uniform u has the distribution Beta(1/2, 1/2).
    """
    key_table, key_bits = jax.random.split(key)
    contexts, known = 2 ** (order - 1), order - 1
    table_CxB = jnp.sin(jnp.pi / 2 * jax.random.uniform(key_table, (contexts, batch_size))) ** 2
    uniform_NxB = jax.random.uniform(key_bits, (bits, batch_size))

    def following(context_B: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        uniform_B, number = step
        tabled_B = jnp.take_along_axis(table_CxB, context_B[None, :], 0)[0]
        bit_B = uniform_B < jnp.where(number < known, jnp.full_like(tabled_B, 0.5), tabled_B)
        return (2 * context_B + bit_B.astype(jnp.int32)) % contexts, bit_B

    numbers = jnp.arange(bits, dtype=jnp.int32)
    start_B = jnp.zeros(batch_size, jnp.int32)
    _, bits_NxB = jax.lax.scan(following, start_B, (uniform_NxB, numbers))
    bits_NxBx1 = bits_NxB.astype(float)[..., None]
    return Batch(bits_NxBx1[:-1], bits_NxBx1[1:])


def scores(logits_TxBx1: Array, batch: Batch, order: int) -> dict[str, Score]:
    """The loss in nats a sequence, the same in bits, and the bits above Bayes' answer."""
    bits_TxB = batch.targets[..., 0]
    loss_B = jnp.sum(_losses(logits_TxBx1[..., 0], bits_TxB)[order - 2 :], 0)
    bayes_B = jnp.sum(_losses(bayes_logits(batch, order), bits_TxB)[order - 2 :], 0)
    return {
        "loss": once(loss_B),
        "bits": once(loss_B / math.log(2)),
        "excess_bits": once((loss_B - bayes_B) / math.log(2)),
    }


def _losses(logits_TxB: Array, bits_TxB: Array) -> Array:
    loss_TxB: Array = optax.sigmoid_binary_cross_entropy(logits_TxB, bits_TxB)
    return loss_TxB


def bayes_logits(batch: Batch, order: int) -> Array:
    """The log odds (T, B) of Bayes' answer, ln (n_1 + 1/2) / (n_0 + 1/2), from step n - 2 on.

    n_1 and n_0 count the ones and zeros that followed the same last `order` - 1 bits so far.
    Before that step, where fewer bits are known, 0.
    """
    contexts, known = 2 ** (order - 1), order - 2
    steps, batch_size, _ = batch.inputs_TxBxI.shape
    dtype = batch.inputs_TxBxI.dtype

    def count(
        carry: tuple[Array, Array], step: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], Array]:
        context_B, counts_2xCxB = carry
        input_B, target_B, number = step
        context_B = (2 * context_B + (input_B > 0.5).astype(jnp.int32)) % contexts
        here_CxB = jnp.arange(contexts, dtype=jnp.int32)[:, None] == context_B[None, :]
        zeros_B, ones_B = jnp.sum(jnp.where(here_CxB[None], counts_2xCxB, 0 * counts_2xCxB), 1)
        counted_CxB = (here_CxB & (number >= known)).astype(dtype)
        added = jnp.stack([counted_CxB * (1 - target_B)[None], counted_CxB * target_B[None]])
        return (context_B, counts_2xCxB + added), jnp.log((ones_B + 0.5) / (zeros_B + 0.5))

    start = (
        jnp.zeros(batch_size, jnp.int32),
        jnp.zeros((2, contexts, batch_size), dtype),
    )
    given = (batch.inputs_TxBxI[..., 0], batch.targets[..., 0], jnp.arange(steps, dtype=jnp.int32))
    logits_TxB: Array = jax.lax.scan(count, start, given)[1]
    return logits_TxB


class Expected(NamedTuple):
    """Expected losses in bits a sequence: of the last bit alone, of Bayes' answer, and of the
    table that the sequence is drawn from."""

    last_bit: float
    bayes: float
    table: float


@lru_cache
def expected_bits(bits: int, order: int) -> Expected:
    """Means over simulated sequences; at every step the next bit is averaged over exactly."""
    contexts = 2 ** (order - 1)
    count = min(SEQUENCES, VALUES // bits, VALUES // contexts)
    random, row_N = np.random.default_rng(0), np.arange(count)
    table_NxC = np.sin(np.pi / 2 * random.random((count, contexts))) ** 2
    counts_NxCx2 = np.full((count, contexts, 2), 0.5)
    context_N = random.integers(0, contexts, count)
    bayes = table = repeats = 0.0
    for _ in range(bits - order + 1):
        one_N = table_NxC[row_N, context_N]
        counts_Nx2 = counts_NxCx2[row_N, context_N]
        guess_N = counts_Nx2[:, 1] / counts_Nx2.sum(1)
        bayes += _cross_entropy_bits(one_N, guess_N)
        table += _cross_entropy_bits(one_N, one_N)
        repeats += float(np.mean(np.where(context_N % 2 == 1, one_N, 1 - one_N)))
        bit_N = (random.random(count) < one_N).astype(np.int64)
        counts_NxCx2[row_N, context_N, bit_N] += 1
        context_N = (2 * context_N + bit_N) % contexts
    scored = bits - order + 1
    repeat = np.array(repeats / scored)
    return Expected(scored * _cross_entropy_bits(repeat, repeat), bayes, table)


def _cross_entropy_bits(true_N: np.ndarray, guess_N: np.ndarray) -> float:
    """The mean cross-entropy of bits with true and guessed probabilities of 1, in bits."""
    guess_N = np.clip(guess_N, 1e-300, 1 - 1e-16)
    return float(np.mean(-true_N * np.log2(guess_N) - (1 - true_N) * np.log2(1 - guess_N)))
