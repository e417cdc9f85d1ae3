"""Products in bf16 make the error of its seven bits."""

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array
from rnnexp.scan.unroll import TimeLoop, unroll
from tests.helpers.fused_cells import SCAN, made


def test_bf16_makes_the_error_of_its_seven_bits() -> None:
    cell, (params, x, start, _) = made("tanh", 5, 4)

    def outputs(how: TimeLoop) -> Array:
        run = jax.jit(lambda: unroll(cell, params, x, state=start, time_loop=how).outputs_TxBxH)
        return jnp.asarray(run())

    error = jnp.max(jnp.abs(outputs(TimeLoop(kernel=True, fused="bf16")) - outputs(SCAN)))
    assert 1e-4 < float(error) < 2e-2
