"""Options of the optimisers against formulas in NumPy, and of one's own in a program."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Tree
from rnnexp.learning.optimizers import rmsprop

GRADS = np.array([[1.0, -2e-3], [0.5, 1e-3], [-1.0, 3e-3], [2.0, 0.0]])


def after(**options: float) -> np.ndarray:
    """Parameters after the gradients, from (1, 2), at the learning rate 0.1."""
    transform = rmsprop(jnp.array(0.1), **options)
    params: Tree = jnp.array([1.0, 2.0])
    state = transform.init(params)
    for grads in GRADS:
        updates, state = transform.update(jnp.array(grads), state, params)
        params = params + updates
    return np.asarray(params)


@pytest.mark.parametrize(
    ("decay", "floor", "momentum"), [(0.9, 0.01, 0.0), (0.95, 0.5, 0.9), (0.5, 0.0, 0.3)]
)
def test_rmsprop_divides_by_the_root_mean_square_or_the_floor(
    decay: float, floor: float, momentum: float, x64: None
) -> None:
    p, v, trace = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    floored = 0
    for g in GRADS:
        v = decay * v + (1 - decay) * g**2
        rms = np.maximum(np.sqrt(v), floor) if floor else np.sqrt(v + 1e-8)
        floored += int(np.sum(np.sqrt(v) < floor))
        trace = momentum * trace - 0.1 * g / rms
        p = p + trace
    found = after(rms_decay=decay, rms_floor=floor, momentum=momentum)
    np.testing.assert_allclose(found, p, rtol=1e-12)
    assert (0 < floored < GRADS.size) == (floor > 0)


def test_a_floor_keeps_a_gradient_of_zero_finite() -> None:
    transform = rmsprop(jnp.array(0.1), rms_floor=0.1)
    zeros = jnp.zeros(2)
    updates, _ = transform.update(zeros, transform.init(zeros), zeros)
    np.testing.assert_array_equal(updates, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rms_decay": 1.0}, "config.optimizer.rms_decay must be at least 0 and below 1, not 1.0"),
        ({"rms_floor": -0.1}, "config.optimizer.rms_floor must not be negative, but is -0.1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        rmsprop(jnp.array(0.1), **options)
    assert str(caught.value) == words
