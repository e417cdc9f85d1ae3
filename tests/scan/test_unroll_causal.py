"""No output depends on an input after it, whichever way a cell goes through time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array, Params
from rnnexp.scan.unroll import unroll
from tests.helpers.noisy_params import with_noise
from tests.helpers.time_paths import WAYS, cases
from tests.helpers.variants import Variant, build

T, B, I, H = 5, 2, 2, 4  # noqa: E741
AT = 2


@pytest.mark.parametrize(("variant", "way"), cases(I, H))
def test_no_output_depends_on_a_later_input(variant: Variant, way: str) -> None:
    cell = build(variant, I, H)
    params = with_noise(jax.jit(cell.init)(jax.random.key(0)), 0.1, jax.random.key(1))
    x = jax.random.normal(jax.random.key(2), (T, B, I))

    @jax.jit
    @jax.grad
    def gradient(x: Array, params: Params) -> Array:
        return jnp.sum(jnp.sin(unroll(cell, params, x, time_loop=WAYS[way]).outputs_TxBxH[AT]))

    reached = np.any(np.asarray(gradient(x, params)) != 0, axis=2)
    assert not reached[AT + 1 :].any()
    assert reached[AT].any()
