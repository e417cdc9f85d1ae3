"""Random piano rolls."""

import itertools

import numpy as np

from rnnexp.data.polyphonic import PianoRolls


def random_roll(seed: int, steps: int) -> np.ndarray:
    """Notes that tend to go on."""
    rng = np.random.default_rng(seed)
    keeps = rng.random((steps, 88)) < 0.7
    roll = (rng.random((steps, 88)) < 0.1).astype(np.uint8)
    for t in range(1, steps):
        roll[t] = np.where(keeps[t], roll[t - 1], roll[t])
    return roll


def random_rolls() -> PianoRolls:
    """Splits of 9, 5 and 6 sequences of 2 to 20 frames."""
    lengths = [2, 20, 7, 7, 13, 3, 18, 5, 9], [4, 6, 15, 2, 8], [11, 2, 20, 5, 5, 16]
    counter = itertools.count()
    return PianoRolls(*(tuple(random_roll(next(counter), n) for n in row) for row in lengths))
