"""The lower bound of all times: the rate at which this machine multiplies matrices of a size."""

import time

import jax
import jax.numpy as jnp

from rnnexp.bench.workloads import GATES, Workload
from rnnexp.core.types import Array

REPEATS = 64


def matrix_rate(work: Workload, cell: str, seconds: float) -> float:
    """Operations a second of the matrix product in a recurrent step, (B, H) @ (H, G H).

    This is the best rate within `seconds`, because it is a bound and not an average. In the
    compiled program each product depends on the previous one.
    """
    columns = GATES[cell] * work.hidden_size
    h_BxH = jnp.full((work.batch_size, work.hidden_size), 0.01)
    w_HxG = jnp.full((work.hidden_size, columns), 0.01)

    @jax.jit
    def products(h_BxH: Array, w_HxG: Array) -> Array:
        def body(h_BxH: Array, _: None) -> tuple[Array, None]:
            return (h_BxH @ w_HxG)[:, : work.hidden_size], None

        return jax.lax.scan(body, h_BxH, length=REPEATS)[0]

    jax.block_until_ready(products(h_BxH, w_HxG))
    flops = 2.0 * work.batch_size * work.hidden_size * columns * REPEATS
    best, end = float("inf"), time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        jax.block_until_ready(products(h_BxH, w_HxG))
        best = min(best, time.monotonic() - began)
    return flops / best
