"""A TDNN equals NumPy and has exactly no gradient beyond its taps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.tdnn import tdnn
from rnnexp.scan.unroll import unroll
from tests.helpers.reached_lags import B, H, I, T, reached


@pytest.mark.parametrize("delay", [1, 3])
def test_a_tdnn_has_no_gradient_beyond_its_taps(delay: int) -> None:
    first, above = tdnn(I, H, delay_steps=delay), tdnn(I, H, delay_steps=delay, layer=1)
    assert reached(first) == ([*range(delay + 1)], [*range(2 * delay + 1)])
    assert reached(above) == ([*range(delay + 1)], [*range(delay + 1)])


def test_a_tdnn_equals_numpy(x64: None) -> None:
    cell = tdnn(I, H, delay_steps=2)
    params = cell.init(jax.random.key(0))
    x = np.asarray(jax.random.normal(jax.random.key(1), (T, B, I)))
    padded = np.concatenate([np.zeros((2, B, I)), x])
    windows = np.concatenate([padded[2 - k : T + 2 - k] for k in range(3)], -1)
    h = np.tanh(windows @ np.asarray(params["w_x"]) + np.asarray(params["b"]))
    padded = np.concatenate([np.zeros((2, B, H)), h])
    expected = np.concatenate([padded[2 - k : T + 2 - k] for k in range(3)], -1)
    np.testing.assert_allclose(unroll(cell, params, jnp.asarray(x)).outputs_TxBxH, expected)
