"""The losses against NumPy from their papers and PyTorch's conventions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.learning.losses import absolute_error, huber, label_smoothing

RNG = np.random.default_rng(0)
OUTPUTS, VALUES = RNG.normal(size=(2, 5, 3, 4))
ALL = np.ones((5, 3), bool)


def test_absolute_error_is_the_mean_distance(x64: None) -> None:
    found = absolute_error()(jnp.array(OUTPUTS), jnp.array(VALUES), jnp.array(ALL))
    np.testing.assert_allclose(found, np.abs(OUTPUTS - VALUES).mean(-1), rtol=1e-12)


def test_targets_may_lack_an_axis_of_one() -> None:
    outputs, targets = jnp.array([[1.0], [4.0]]), jnp.array([3.0, 4.5])
    np.testing.assert_allclose(absolute_error()(outputs, targets, jnp.ones(2, bool)), [2, 0.5])


def test_targets_of_another_shape_are_no_broadcast() -> None:
    with pytest.raises(ValueError, match=r"targets are of shape \(3,\), and outputs of \(3, 3\)"):
        absolute_error()(jnp.ones((3, 3)), jnp.ones(3), jnp.ones(3, bool))


def test_huber_is_squared_near_zero_and_linear_beyond(x64: None) -> None:
    found = huber(delta=0.7)(jnp.array(OUTPUTS), jnp.array(VALUES), jnp.array(ALL))
    e = np.abs(OUTPUTS - VALUES)
    each = np.where(e <= 0.7, e**2 / 2, 0.7 * (e - 0.35))
    assert 0 < np.mean(e <= 0.7) < 1
    np.testing.assert_allclose(found, each.mean(-1), rtol=1e-12)


def test_label_smoothing_is_cross_entropy_with_the_smoothed_target(x64: None) -> None:
    labels = RNG.integers(0, 4, size=(5, 3))
    q = 0.8 * np.eye(4)[labels] + 0.2 / 4
    log_p = OUTPUTS - np.log(np.exp(OUTPUTS).sum(-1, keepdims=True))
    loss = label_smoothing(smoothing=0.2)
    found = loss(jnp.array(OUTPUTS), jnp.array(labels), jnp.array(ALL))
    np.testing.assert_allclose(found, -(q * log_p).sum(-1), rtol=1e-12)
    slope = jax.grad(lambda o: jnp.sum(loss(o, jnp.array(labels), jnp.array(ALL))))
    np.testing.assert_allclose(slope(jnp.array(OUTPUTS)), np.exp(log_p) - q, atol=1e-12)


def test_bad_options_are_refused() -> None:
    with pytest.raises(UsageError, match=r"config\.loss\.delta must be positive, not 0"):
        huber(delta=0.0)
    with pytest.raises(UsageError, match=r"config\.loss\.smoothing must be at least 0 and below 1"):
        label_smoothing(smoothing=1.0)
