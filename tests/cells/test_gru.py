"""The GRU with its reset before the product equals NumPy."""

import jax
import numpy as np

from rnnexp.cells.gru import gru
from rnnexp.scan.unroll import unroll
from tests.helpers.by_numpy import sigmoid
from tests.helpers.oracle_inputs import B, H, I, inputs, noisy


def test_gru_with_reset_before_equals_numpy(x64: None) -> None:
    cell = gru(I, H, reset="before")
    params = noisy(cell.init(jax.random.key(0)))
    x, _ = inputs()
    w_r, w_z, w_n = np.split(np.asarray(params["w_x"]), 3, 1)
    u_r, u_z, u_n = np.split(np.asarray(params["w_h"]), 3, 1)
    b_r, b_z, b_n = np.split(np.asarray(params["b"]), 3)
    h = np.zeros((B, H))
    for x_t in np.asarray(x):
        r, z = sigmoid(x_t @ w_r + h @ u_r + b_r), sigmoid(x_t @ w_z + h @ u_z + b_z)
        h = (1 - z) * np.tanh(x_t @ w_n + (r * h) @ u_n + b_n) + z * h
    np.testing.assert_allclose(unroll(cell, params, x).final_BxH, h, rtol=1e-12)
