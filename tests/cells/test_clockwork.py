"""Clockwork modules share the units, tick in their periods and hear only slower ones."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.clockwork import module_sizes
from rnnexp.core.types import Array
from tests.helpers.noisy_params import noisy_params
from tests.helpers.structured_cells import H, adjoints_of_last, build, scanned, sequence


def test_modules_share_the_units() -> None:
    assert module_sizes(5, 4) == [2, 1, 1, 1]
    assert module_sizes(8, 4) == [2, 2, 2, 2]
    assert module_sizes(11, 3) == [4, 4, 3]


def test_units_change_only_when_their_module_ticks(x64: None) -> None:
    cell = build("clockwork")
    params, steps = noisy_params(cell), 17
    states = scanned(cell, params, cell.init_state(params), sequence(steps), {})
    np.testing.assert_array_equal(states["t"], np.arange(1, steps + 1))
    h = np.concatenate([np.zeros((1, H)), states["h"]])
    for unit, period in enumerate([1, 1, 2, 2, 4, 8]):
        changed = h[1:, unit] != h[:-1, unit]
        np.testing.assert_array_equal(changed, np.arange(steps) % period == 0)


def test_slow_modules_never_hear_fast_ones_nor_inputs_between_ticks(x64: None) -> None:
    cell = build("clockwork", modules=3)  # units 0, 1: period 1; 2, 3: period 2; 4, 5: period 4
    params, x = noisy_params(cell), sequence()
    weights = jnp.zeros(H).at[2:4].set(1.0)  # the loss sees the middle module alone
    adjoints = np.asarray(adjoints_of_last(cell, params, x, weights))
    assert np.all(adjoints[:, :2] == 0)
    assert np.all(adjoints[:, 2:4] != 0)
    # the last tick of the middle module, at step 10, reads the slow one; nothing later does
    assert np.all(adjoints[10:, 4:] == 0)
    assert np.all(adjoints[:10, 4:] != 0)

    def loss(x: Array) -> Array:
        return jnp.sum(weights * scanned(cell, params, cell.init_state(params), x, {})["h"][-1])

    by_input = np.asarray(jax.grad(loss)(x))
    assert np.all(by_input[1::2] == 0)
    assert np.all(by_input[::2] != 0)
