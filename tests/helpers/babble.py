"""Texts made up of symbols that tell something about the next, and their n-grams."""

from collections import Counter
from pathlib import Path

import numpy as np

SYMBOLS = "\n ab\xe9\u20acz\U0001d11e"  # of one to four bytes, in the order of code points


def written(path: Path, content: str | bytes) -> Path:
    """A file of that content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def babble(length: int, seed: int = 0) -> str:
    """Symbols of which each tells something about the next."""
    walk = np.cumsum(np.random.default_rng(seed).integers(1, 4, length)) % len(SYMBOLS)
    return "".join(SYMBOLS[i] for i in walk)


def probability(train: str, context: str, symbol: str, symbols: int, added: float) -> float:
    """p(symbol | context), counted in the text itself."""
    size = len(context)
    follows = Counter(
        train[i + size] for i in range(len(train) - size) if train[i : i + size] == context
    )
    return (follows[symbol] + added) / (sum(follows.values()) + added * symbols)
