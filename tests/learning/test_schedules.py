"""The schedules against closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.learning.schedules import constant, cosine, linear

COUNTS = np.array([0, 1, 7, 19, 20, 21, 1000])


def test_linear_falls_to_its_floor_and_stays_there(x64: None) -> None:
    """As in protocols that go to 1 % of the rate over so many updates."""
    expected = np.maximum(1 - 0.99 * COUNTS / 20, 0.01)
    found = [float(linear(20, rate_floor=0.01)(jnp.array(n, float))) for n in COUNTS]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_cosine_falls_to_its_floor_and_stays_there(x64: None) -> None:
    n = np.minimum(COUNTS, 20)
    expected = 0.2 + 0.8 * (1 + np.cos(np.pi * n / 20)) / 2
    found = [float(cosine(20, rate_floor=0.2)(jnp.array(n, float))) for n in COUNTS]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_constant_stays_at_one() -> None:
    assert [float(constant(20)(jnp.array(n, float))) for n in COUNTS] == [1] * len(COUNTS)


@pytest.mark.parametrize("floor", [-0.1, 1.1])
@pytest.mark.parametrize("factory", [linear, cosine])
def test_a_floor_is_a_fraction(factory: object, floor: float) -> None:
    assert callable(factory)
    with pytest.raises(UsageError, match=r"config\.optimizer\.rate_floor must be from 0 to 1, not"):
        factory(20, rate_floor=floor)
