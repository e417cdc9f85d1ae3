"""The logistic head: its loss and gradient by hand, and what counts as wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.models.heads.logistic import Logistic, logistic
from tests.helpers.bits import sigmoid
from tests.helpers.distributions import assert_uniform

F, O, B = 3, 4, 6  # noqa: E741
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(B, F))


def means(head: Logistic, features: Array, targets: Array) -> dict[str, float]:
    batch = Batch(jnp.zeros((5, features.shape[0], 1)), targets)
    found = head.scores(features, batch, jax.random.key(0))
    return {name: float(score.mean()) for name, score in found.items()}


def test_start_is_uniform() -> None:
    head = logistic(60, 70, jax.random.key(0), start=0.2)
    assert_uniform(head.linear.kernel[...], -0.2, 0.2)
    assert head.linear.bias is not None
    biases = logistic(1, 4000, jax.random.key(1)).linear.bias
    assert biases is not None
    assert_uniform(biases[...], -0.1, 0.1)


@pytest.mark.parametrize("classes", [True, False])
def test_scores_are_those_of_the_definition(x64: None, classes: bool) -> None:
    head = logistic(F, O, jax.random.key(0), start=2.0, tolerance=0.5)
    assert head.linear.bias is not None
    y = sigmoid(FEATURES @ np.asarray(head.linear.kernel[...]) + np.asarray(head.linear.bias[...]))
    labels = RANDOM.integers(0, O, B)
    t = np.eye(O)[labels] if classes else RANDOM.uniform(size=(B, O))
    expected = {
        "loss": ((y - t) ** 2).sum(-1).mean() / 2,
        "wrong": (np.abs(y - t) >= 0.5).any(-1).mean(),
    }
    if classes:
        expected["accuracy"] = (y.argmax(-1) == labels).mean()
    assert 0 < expected["wrong"] < 1
    targets = jnp.asarray(labels, jnp.int32) if classes else jnp.asarray(t)
    found = means(head, jnp.asarray(FEATURES), targets)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12)


def test_gradient_is_that_of_1997(x64: None) -> None:
    """dE/dnet_k = (y_k - t_k) y_k (1 - y_k), without a factor 2."""
    head = logistic(F, O, jax.random.key(0), start=1.0)
    target = jnp.asarray(RANDOM.uniform(size=(1, O)))
    one = jnp.asarray(FEATURES[:1])
    y = head(one)
    expected = ((y - target) * y * (1 - y)) @ head.linear.kernel[...].T
    batch = Batch(jnp.zeros((5, 1, 1)), target)
    slope = jax.grad(lambda f: head.scores(f, batch, jax.random.key(0))["loss"].mean())(one)
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_outputs_at_every_step_leave_out_the_padding() -> None:
    head = logistic(F, O, jax.random.key(0))
    features = jnp.asarray(RANDOM.normal(size=(5, B, F)), jnp.float32)
    targets = jnp.zeros((5, B, O)).at[3:].set(1e3)
    lengths_B = jnp.full(B, 3, jnp.int32)
    batch = Batch(jnp.zeros((5, B, 1)), targets, lengths_B)
    padded = head.scores(features, batch, jax.random.key(0))["loss"].mean()
    batch = Batch(jnp.zeros((3, B, 1)), targets[:3])
    alone = head.scores(features[:3], batch, jax.random.key(0))["loss"].mean()
    np.testing.assert_allclose(padded, alone, rtol=1e-6)


def test_bad_options() -> None:
    with pytest.raises(UsageError, match="start of the head logistic must be at least 0"):
        logistic(F, O, jax.random.key(0), start=-1.0)
    with pytest.raises(UsageError, match=r"config.head.tolerance must be positive, not 0"):
        logistic(F, O, jax.random.key(0), tolerance=0.0)
