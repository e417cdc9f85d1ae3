"""A driven, damped oscillator with noise: a series whose best linear prediction is known.

    swing_t = 2 r cos(w) swing_{t-1} - r^2 swing_{t-2} + g push_{t-d} + s e_t

push and e are white and standard normal. Given the past of both columns, all but s e_t of the next
swing is known: the least squared error one step ahead is s^2.
"""

import numpy as np

from rnnexp.data.table import Table

RADIUS, ANGLE = 0.95, 0.3
GAIN, DELAY = 0.5, 5
NOISE = 0.2
TRANSIENT = 200
"""Steps before the first, in which the swing forgets that it began at rest."""


def driven_oscillator(steps: int = 2_000, seed: int = 0) -> Table:
    """The columns `push` and `swing`, of so many steps."""
    random = np.random.default_rng(seed)
    push_N, noise_N = random.standard_normal((2, TRANSIENT + steps))
    table = {"push": push_N, "swing": simulate(push_N, NOISE * noise_N)}
    columns = {name: column[TRANSIENT:] for name, column in table.items()}
    return Table("the generated oscillator", columns)


def simulate(push_N: np.ndarray, noise_N: np.ndarray) -> np.ndarray:
    """The swing (N,), from rest."""
    swing_N = np.zeros(len(push_N) + 2)
    first, second = 2 * RADIUS * np.cos(ANGLE), -(RADIUS**2)
    late_N = np.concatenate([np.zeros(DELAY), push_N[:-DELAY]])
    for n, (push, noise) in enumerate(zip(late_N, noise_N, strict=True)):
        swing_N[n + 2] = first * swing_N[n + 1] + second * swing_N[n] + GAIN * push + noise
    return swing_N[2:]
