"""Bars and stripes: the distribution of pictures whose rows, or whose columns, are uniform.

Hinton & Sejnowski 1986; MacKay 2003, "Information theory, inference, and learning algorithms",
section 43. Of `side` x `side` pixels there are 2^(side + 1) - 2 such pictures, all equally likely:
the best possible loss is the logarithm of their number, ln 14 = 2.639 nats for 3 x 3.
Every split has all of them, as the task is to learn the distribution.
"""

import math

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.tasks.base import Task
from rnnexp.tasks.density import density_task

LARGEST = 8


def bars_and_stripes(*, side: int = 3) -> Task:
    """All pictures of bars or of stripes, equally likely.

    Args:
      side: pixels of a side, 2 to 8.

    Raises `UsageError` for another size.
    """
    if not 2 <= side <= LARGEST:
        raise UsageError(f"side must be 2 to {LARGEST}, not {side}")
    patterns = all_patterns(side)
    return density_task(
        "bars_and_stripes",
        dict.fromkeys(("train", "valid", "test"), patterns),
        redrawn=True,
        references={"loss of the distribution itself": math.log(len(patterns))},
    )


def all_patterns(side: int) -> np.ndarray:
    """Every picture once, (2^(side + 1) - 2, side * side), 0 and 1."""
    lines = (np.arange(2**side)[:, None] >> np.arange(side)[None]) & 1
    rows = np.repeat(lines[:, :, None], side, 2)
    both = np.concatenate([rows, np.swapaxes(rows, 1, 2)]).reshape(-1, side * side)
    return np.unique(both, axis=0).astype(np.uint8)
