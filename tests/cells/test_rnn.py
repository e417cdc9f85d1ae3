"""The identity RNN starts as the identity, a Gaussian one at the edge of chaos."""

import jax
import numpy as np

from tests.helpers.variants import build


def test_irnn_starts_as_the_identity() -> None:
    params = build(("rnn", {"start": "identity", "recurrent_scale": 0.5}), 300, 100).init(
        jax.random.key(0)
    )
    np.testing.assert_array_equal(params["w_h"], 0.5 * np.eye(100))
    np.testing.assert_allclose(np.asarray(params["w_x"]).std(), 0.001, rtol=0.03)


def test_a_gaussian_start_has_its_eigenvalues_in_a_disc() -> None:
    """Of radius `recurrent_scale`, the circular law: Girko 1985."""
    cell = build(("rnn", {"start": "gaussian", "recurrent_scale": 1.5}), 4, 500)
    params = jax.tree.map(np.asarray, cell.init(jax.random.key(0)))
    radii = np.abs(np.linalg.eigvals(params["w_h"]))
    np.testing.assert_allclose(radii.max(), 1.5, rtol=0.08)
    np.testing.assert_allclose(np.mean(radii < 0.75), 0.25, atol=0.02)  # uniform in the disc
    np.testing.assert_allclose(params["w_h"].std(), 1.5 / 500**0.5, rtol=0.01)
    np.testing.assert_allclose(params["w_x"].std(), 0.5, rtol=0.06)
