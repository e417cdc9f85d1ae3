"""The schedules: the factor of the learning rate by the updates since the warmup."""

import optax

from rnnexp.core.errors import UsageError


def constant(steps: int) -> optax.Schedule:
    """1 throughout."""
    del steps
    return optax.constant_schedule(1.0)


def linear(steps: int, *, rate_floor: float = 0.0) -> optax.Schedule:
    """From 1 to the floor on a straight line, then the floor.

    Args:
      rate_floor: the last rate, as a fraction of the largest.

    Raises:
      UsageError: for a floor outside [0, 1].
    """
    return optax.linear_schedule(1.0, _fraction(rate_floor), steps)


def cosine(steps: int, *, rate_floor: float = 0.0) -> optax.Schedule:
    """floor + (1 - floor) (1 + cos(pi n / steps)) / 2, then the floor.

    Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.

    Args:
      rate_floor: the last rate, as a fraction of the largest.

    Raises:
      UsageError: for a floor outside [0, 1].
    """
    return optax.cosine_decay_schedule(1.0, steps, alpha=_fraction(rate_floor))


def _fraction(floor: float) -> float:
    if not 0 <= floor <= 1:
        raise UsageError(f"config.optimizer.rate_floor must be from 0 to 1, not {floor}")
    return floor
