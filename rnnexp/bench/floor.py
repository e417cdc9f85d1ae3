"""The lower bounds of all times: rates of the processor, of memory, and of XLA's products."""

import ctypes
import os
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.bench.workloads import GATES, Workload
from rnnexp.core.types import Array
from rnnexp.scan.kernels.build import native_library

REPEATS = 64
COPIED_BYTES = 1 << 27
"""Of each thread, so that no cache near a core holds them."""


class Rates(NamedTuple):
    """What all cores together can do in a second.

    Attributes:
      flops: floating-point operations (float32), in multiply-adds on registers.
      bytes: bytes read and written, in copies of large arrays.
    """

    flops: float
    bytes: float


def machine_rates(seconds: float) -> Rates:
    """The best rates within `seconds` each. Raises `BuildError` without a C++ compiler."""
    native = native_library("rates", Path(__file__).parent / "native" / "rates.cc")
    of_products, of_memory = native.rnnexp_multiply_rate, native.rnnexp_memory_rate
    of_products.restype = of_memory.restype = ctypes.c_double
    of_products.argtypes = [ctypes.c_int, ctypes.c_double]
    of_memory.argtypes = [ctypes.c_int, ctypes.c_double, ctypes.c_int64]
    threads = len(os.sched_getaffinity(0))
    return Rates(of_products(threads, seconds), of_memory(threads, seconds, COPIED_BYTES))


def matrix_rate(work: Workload, cell: str, seconds: float) -> float:
    """Operations a second of XLA's matrix product in a recurrent step, (B, H) @ (H, G H).

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
