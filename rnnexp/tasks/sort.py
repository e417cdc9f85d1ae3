"""Sort: write a sequence of symbols in order.

    input   c a b a
    target  a a b c $      ($ is the stop symbol)

Symbols may repeat. A network must remember how often each came, not when: less than in
`reverse`, but it can write no symbol before it has read all.
"""

import math

import jax.numpy as jnp

from rnnexp.core.types import Array
from rnnexp.tasks.base import Task
from rnnexp.tasks.transduction import PADDING, STOP, check_words, words_loss, words_task


def sort(*, symbols: int = 8, longest: int = 10, shortest: int = 1) -> Task:
    """Sort words of `shortest` to `longest` letters, drawn uniformly from `symbols`.

    Baseline, without reading: the length has ln(lengths) nats, the counts of the letters
    the entropy of a multinomial distribution. The likeliest answer is one of the shortest,
    as one more letter never makes the likeliest counts likelier.

    Args:
      symbols: letters of the alphabet.
      longest: letters of the longest word.
      shortest: letters of the shortest word.
    """
    check_words(symbols, shortest, longest)
    lengths = longest - shortest + 1
    return words_task(
        "sort",
        ascending,
        symbols=symbols,
        shortest=shortest,
        longest=longest,
        baseline={
            "loss": words_loss(lambda length: counts_entropy(length, symbols), shortest, longest),
            "exact": likeliest_counts(shortest, symbols) / lengths,
        },
        at=lambda n: sort(symbols=symbols, longest=n, shortest=n),
    )


def ascending(word_TxB: Array, lengths_B: Array) -> Array:
    """The target classes of words (T, B) in ascending order, stops after the end."""
    del lengths_B  # the words are padded
    last = jnp.iinfo(word_TxB.dtype).max
    sorted_TxB = jnp.sort(jnp.where(word_TxB == PADDING, last, word_TxB), axis=0)
    return jnp.where(sorted_TxB == last, STOP, sorted_TxB + 1)


def counts_entropy(length: int, symbols: int) -> float:
    """Entropy in nats of the counts of `symbols` in a word of uniform letters.

    It is length * ln(symbols), the word's, less that of the order, E ln(length! / prod
    n_k!); each count n_k is binomial(length, 1 / symbols).
    """
    log_one, log_other = -math.log(symbols), math.log1p(-1 / symbols)
    log_factorial = [math.lgamma(n + 1) for n in range(length + 1)]
    repeated = 0.0
    for n in range(length + 1):
        log_choices = log_factorial[length] - log_factorial[n] - log_factorial[length - n]
        probability = math.exp(log_choices + n * log_one + (length - n) * log_other)
        repeated += probability * log_factorial[n]
    return length * math.log(symbols) - log_factorial[length] + symbols * repeated


def likeliest_counts(length: int, symbols: int) -> float:
    """The probability of the likeliest, most even, counts in a word of uniform letters."""
    each, more = divmod(length, symbols)
    log_orders = math.lgamma(length + 1) - symbols * math.lgamma(each + 1)
    return math.exp(log_orders - more * math.log(each + 1) - length * math.log(symbols))
