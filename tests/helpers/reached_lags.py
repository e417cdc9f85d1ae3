"""The lags at which the last output of a cell reads its states and inputs."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, State
from rnnexp.gradflow.adjoints import perturb, zero_slot
from rnnexp.scan.unroll import Probe, unroll

T, B, I, H, O = 12, 2, 3, 4, 2  # noqa: E741


def reach(norms_T: Array) -> list[int]:
    """Lags with a gradient that is not exactly zero."""
    return [T - 1 - t for t in range(T) if float(norms_T[t]) != 0][::-1]


def reached(cell: Any, **keywords: Any) -> tuple[list[int], list[int]]:
    """Lags at which the last output reads h and x."""
    params = cell.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (T, B, I))

    def last(slot: State, x: Array) -> Array:
        got = unroll(cell, params, x, probe=Probe(perturb, slot), **keywords)
        return jnp.sum(jnp.sin(got.final_BxH))

    slot, by_x = jax.grad(last, argnums=(0, 1))(zero_slot(cell, params, T, B), x)
    return reach(jnp.sum(jnp.abs(slot["h"]), (1, 2))), reach(jnp.sum(jnp.abs(by_x), (1, 2)))
