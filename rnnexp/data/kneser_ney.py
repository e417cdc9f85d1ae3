"""Interpolated Kneser-Ney n-grams of a sequence of symbols.

Chen & Goodman 1998, "An empirical study of smoothing techniques for language modeling", section
2.7, with one discount an order (Ney, Essen & Kneser 1994):

    p_n(x | context) = max(c_n(context x) - D_n, 0) / c_n(context)
                       + D_n N_n(context) / c_n(context) * p_{n-1}(x | shorter context)

where c_n(context) = sum_x c_n(context x), and N_n(context) is the number of symbols x with
c_n(context x) > 0. c_n are counts at the highest order; below it they are the numbers of different
symbols that come before (context x). A context that has no count has the probability of the
shorter one; below the order 1 all V symbols are equally likely. D_n = n_1 / (n_1 + 2 n_2), where
n_1 and n_2 are the numbers of n-grams with c_n = 1 and c_n = 2; 1/2 if one of them is 0.
"""

from typing import NamedTuple

import numpy as np

from rnnexp.data.ngrams import counts_at, find, require_length


class Grams(NamedTuple):
    """The different n-grams of one order in the training part, U of them.

    Attributes:
      keys_U: sorted, the number of the context * V + the last symbol.
      context_U: number of the context among the grams of one order less.
      places: the number of the gram that begins at each position.
      counts_U: how often each occurs.
    """

    keys_U: np.ndarray
    context_U: np.ndarray
    places: np.ndarray
    counts_U: np.ndarray


def kneser_ney_losses(
    train: np.ndarray, test: np.ndarray, symbols: int, *, most: int = 4
) -> tuple[float, ...]:
    """Nats a symbol on `test` of the Kneser-Ney 1-gram, ..., `most`-gram counted on `train`.

    Args:
      train, test: symbols, 0 to `symbols` - 1. The first n - 1 of the test part are
        context only and not scored.
      symbols: V above.

    Raises `UsageError` if a part is shorter than the longest n-gram.
    """
    require_length(train, test, most)
    orders = _count(train, symbols, most)
    losses = []
    lower = np.full(len(test) + 1, 1 / symbols)
    contexts = np.zeros(len(test), int)
    for order, grams in enumerate(orders):
        places = find(grams.keys_U, contexts * symbols + test[order:])
        highest = _interpolated(grams, grams.counts_U, places, contexts, lower[1:])
        losses.append(float(-np.mean(np.log(highest))))
        if order + 1 < most:
            before = _symbols_before(grams, orders[order + 1])
            lower = _interpolated(grams, before, places, contexts, lower[1:])
            contexts = places[:-1]
    return tuple(losses)


def _count(train: np.ndarray, symbols: int, most: int) -> list[Grams]:
    """The grams of the orders 1 to `most`."""
    orders: list[Grams] = []
    contexts = np.zeros(len(train), int)
    for before in range(most):
        keys, places, counts = np.unique(
            contexts * symbols + train[before:], return_inverse=True, return_counts=True
        )
        orders.append(Grams(keys, keys // symbols, places, counts))
        contexts = places[:-1]
    return orders


def _symbols_before(grams: Grams, longer: Grams) -> np.ndarray:
    """How many different symbols come before each gram: how many longer grams end in it."""
    end_of_longer = np.zeros(len(longer.keys_U), int)
    end_of_longer[longer.places] = grams.places[1:]
    return np.bincount(end_of_longer, minlength=len(grams.keys_U))


def _interpolated(
    grams: Grams, counts_U: np.ndarray, places: np.ndarray, contexts: np.ndarray, lower: np.ndarray
) -> np.ndarray:
    """The probability of the gram at every place of the test part (-1: it is not in training).

    `lower` are the probabilities of the gram without its first symbol.
    """
    once, twice = (np.count_nonzero(counts_U == n) for n in (1, 2))
    discount = once / (once + 2 * twice) if once and twice else 0.5
    seen = counts_U > 0
    total_C = np.bincount(grams.context_U, counts_U)
    kinds_C = np.bincount(grams.context_U[seen], minlength=len(total_C))
    count, total, kinds = (
        counts_at(values, at)
        for values, at in ((counts_U, places), (total_C, contexts), (kinds_C, contexts))
    )
    known = total > 0
    total = np.where(known, total, 1)
    own = np.maximum(count - discount, 0) / total
    return np.where(known, own + discount * kinds / total * lower, lower)
