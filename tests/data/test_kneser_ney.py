"""Kneser-Ney losses equal a dictionary's, and their probabilities sum to 1."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.kneser_ney import kneser_ney_losses


def symbols_of(seed: int, length: int, symbols: int) -> np.ndarray:
    """A walk in which each symbol tells something about the next, and a few are rare."""
    steps = np.random.default_rng(seed).geometric(0.5, length)
    return np.cumsum(steps) % symbols


def by_dictionary(train: list[int], gram: tuple[int, ...], symbols: int) -> float:
    """p(last symbol of the gram | the others), by the formula, one n-gram at a time."""

    def counts_of(order: int, highest: bool) -> Counter[tuple[int, ...]]:
        if highest:
            return Counter(tuple(train[i : i + order]) for i in range(len(train) - order + 1))
        longer = {tuple(train[i : i + order + 1]) for i in range(len(train) - order)}
        return Counter(gram[1:] for gram in longer)

    def p(gram: tuple[int, ...], highest: bool) -> float:
        if not gram:
            return 1 / symbols
        lower = p(gram[1:], False)
        counts = counts_of(len(gram), highest)
        of_context = {g: c for g, c in counts.items() if g[:-1] == gram[:-1]}
        if not of_context:
            return lower
        kinds = Counter(counts.values())
        d = kinds[1] / (kinds[1] + 2 * kinds[2]) if kinds[1] and kinds[2] else 0.5
        total = sum(of_context.values())
        own = max(counts[gram] - d, 0) / total
        return own + d * len(of_context) / total * lower

    return p(gram, True)


@pytest.mark.parametrize("seed", range(3))
def test_the_losses_are_those_of_a_dictionary(seed: int) -> None:
    train, test = symbols_of(seed, 90, 7), symbols_of(seed + 10, 25, 8)[::-1]
    found = kneser_ney_losses(train, test, 9, most=4)
    for n, loss in enumerate(found, 1):
        logs = [
            math.log(by_dictionary(train.tolist(), tuple(test[i : i + n].tolist()), 9))
            for i in range(len(test) - n + 1)
        ]
        np.testing.assert_allclose(loss, -np.mean(logs), rtol=1e-12)


@pytest.mark.parametrize("context", [(3, 4, 6), (0, 0, 0), (8, 1, 2), (2, 3, 8)])
def test_the_probabilities_of_all_symbols_sum_to_1(context: tuple[int, ...]) -> None:
    train = symbols_of(0, 200, 7)  # of 9 symbols two never occur
    for n in range(1, 5):
        losses = [
            kneser_ney_losses(train, np.array([*context[4 - n :], x]), 9, most=n)[-1]
            for x in range(9)
        ]
        np.testing.assert_allclose(np.sum(np.exp(np.negative(losses))), 1, rtol=1e-12)


def test_lower_orders_count_what_comes_before_and_not_how_often() -> None:
    """'b' is more frequent than 'c', and comes after 'a' alone; 'c' comes after many."""
    a, b, c, new = 0, 1, 2, 9
    train = np.array([a, b] * 20 + [3, c, 4, c, 5, c, 6, c, 7, c, 8])
    after_new = [kneser_ney_losses(train, np.array([new, x]), 10, most=2)[1] for x in (b, c)]
    assert after_new[1] < after_new[0]
    assert Counter(train.tolist())[b] > Counter(train.tolist())[c]
    assert len({x for x, y in pairwise(train.tolist()) if y == b}) == 1


def test_a_text_must_have_the_longest_gram() -> None:
    with pytest.raises(UsageError, match="4-grams need 4 symbols"):
        kneser_ney_losses(np.zeros(9, int), np.zeros(3, int), 1)
