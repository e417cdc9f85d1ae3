"""The identity RNN starts as the identity."""

import jax
import numpy as np

from tests.helpers.variants import build


def test_irnn_starts_as_the_identity() -> None:
    params = build(("rnn", {"start": "identity", "recurrent_scale": 0.5}), 300, 100).init(
        jax.random.key(0)
    )
    np.testing.assert_array_equal(params["w_h"], 0.5 * np.eye(100))
    np.testing.assert_allclose(np.asarray(params["w_x"]).std(), 0.001, rtol=0.03)
