"""Reverse: write a sequence of symbols backwards.

    input   c a b
    target  b a c $        ($ is the stop symbol)

The first symbol read is the last one written, so the longest dependency is twice the
length. The sequence reversal of Grefenstette et al. 2015, "Learning to transduce with
unbounded memory", with shorter words.
"""

import math

import jax.numpy as jnp

from rnnexp.core.types import Array
from rnnexp.tasks.base import Task
from rnnexp.tasks.transduction import STOP, check_words, words_loss, words_task


def reverse(*, symbols: int = 8, longest: int = 10, shortest: int = 1) -> Task:
    """Reverse words of `shortest` to `longest` letters, drawn uniformly from `symbols`.

    Baseline, without reading: a word of L letters has L ln(symbols) nats, its length
    ln(lengths), and letters are independent. "symbol_accuracy" is that of always writing
    the likelier of the stop and any one letter.

    Args:
      symbols: letters of the alphabet.
      longest: letters of the longest word.
      shortest: letters of the shortest word.
    """
    check_words(symbols, shortest, longest)
    return words_task(
        "reverse",
        backwards,
        symbols=symbols,
        shortest=shortest,
        longest=longest,
        baseline={
            "loss": words_loss(lambda length: length * math.log(symbols), shortest, longest),
            "exact": 1 / ((longest - shortest + 1) * symbols**shortest),
            "symbol_accuracy": blind_accuracy(symbols, shortest, longest),
        },
        at=lambda n: reverse(symbols=symbols, longest=n, shortest=n),
    )


def backwards(word_TxB: Array, lengths_B: Array) -> Array:
    """The target classes of words (T, B): the last symbol first, stops after the end."""
    source_TxB = lengths_B[None, :] - 1 - jnp.arange(len(word_TxB), dtype=jnp.int32)[:, None]
    mirrored_TxB = jnp.take_along_axis(word_TxB, jnp.maximum(source_TxB, 0), axis=0)
    return jnp.where(source_TxB >= 0, mirrored_TxB + 1, STOP)


def blind_accuracy(symbols: int, shortest: int, longest: int) -> float:
    """The largest fraction of symbols that can be right without reading the input.

    At position u it is the larger of p(length = u), for the stop, and
    p(length > u) / symbols, for a letter.
    """
    lengths = longest - shortest + 1
    right = 0.0
    for u in range(longest + 1):
        ends, goes_on = float(u >= shortest), min(longest - u, lengths)
        right += max(ends, goes_on / symbols) / lengths
    return right / ((shortest + longest) / 2 + 1)
