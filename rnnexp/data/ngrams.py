"""N-gram models of a sequence of symbols.

Jurafsky & Martin, "Speech and language processing", chapter 3: the probability of a
symbol after its context (the n - 1 symbols before it), with additive smoothing,

    p(x | context) = (count(context x) + a) / (count(context) + a V)

where V is the number of symbols and count(context) excludes an occurrence at the end of
the training text, so that the p(x | context) sum to 1.
"""

import numpy as np

from rnnexp.core.errors import UsageError


def ngram_losses(
    train: np.ndarray, test: np.ndarray, symbols: int, *, most: int = 4, added: float = 0.1
) -> tuple[float, ...]:
    """Nats a symbol on `test` of the 1-gram, ..., `most`-gram counted on `train`.

    Args:
      train, test: symbols, 0 to `symbols` - 1. The first n - 1 of the test part are
        context only and not scored.
      symbols: V above.
      added: a above.

    Raises `UsageError` if a part is shorter than the longest n-gram.
    """
    require_length(train, test, most)
    losses = []
    # contexts are numbered; -1 is one that does not occur in training
    train_contexts, test_contexts = np.zeros(len(train), int), np.zeros(len(test), int)
    for before in range(most):
        context_counts = np.bincount(train_contexts)
        grams, train_grams, gram_counts = np.unique(
            train_contexts * symbols + train[before:], return_inverse=True, return_counts=True
        )
        test_grams = find(grams, test_contexts * symbols + test[before:])
        seen = counts_at(gram_counts, test_grams) + added
        total = counts_at(context_counts, test_contexts) + added * symbols
        losses.append(float(-np.mean(np.log(seen / total))))
        train_contexts, test_contexts = train_grams[:-1], test_grams[:-1]
    return tuple(losses)


def require_length(train: np.ndarray, test: np.ndarray, most: int) -> None:
    """Raise `UsageError` if a part is shorter than the longest n-gram."""
    if min(len(train), len(test)) < most:
        raise UsageError(
            f"{most}-grams need {most} symbols; the training part has {len(train)}, "
            f"the test part {len(test)}"
        )


def find(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The index of each value in the sorted array, -1 if it is absent."""
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[places] == values, places, -1)


def counts_at(counts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The counts at the indices, 0 at index -1."""
    at_places: np.ndarray = np.append(counts, 0)[places]
    return at_places
