"""The limit of adjoints rescales each example's dL/ds_t by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.gradflow.adjoint_limit import limit_adjoint


@pytest.mark.usefixtures("x64")
def test_the_limit_scales_each_example_by_itself() -> None:
    state = {"h": jnp.ones((3, 2)), "c": jnp.ones((3, 1, 2))}
    given = {
        "h": jnp.array([[3.0, 0.0], [0.1, 0.0], [1e200, 0.0]]),
        "c": jnp.array([[[0.0, 4.0]], [[0.0, 0.0]], [[0.0, 0.0]]]),
    }
    pulled = jax.vjp(lambda s: limit_adjoint(s, jnp.array(2.5)), state)[1](given)[0]
    np.testing.assert_allclose(pulled["h"], [[1.5, 0], [0.1, 0], [2.5, 0]], rtol=1e-12)
    np.testing.assert_allclose(pulled["c"][:, 0], [[0, 2], [0, 0], [0, 0]], rtol=1e-12)
