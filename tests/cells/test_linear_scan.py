"""The parallel path of a linear recurrence equals the scan, one by one and in a batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.unroll import unroll
from tests.helpers.noisy_params import noisy_params
from tests.helpers.structured_cells import (
    B,
    T,
    build,
    close,
    scanned,
    sequence,
)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize(
    ("name", "options"),
    [("lru", {}), ("min_gru", {}), ("min_gru", {"candidate": "positive"}), ("min_lstm", {})],
)
def test_the_parallel_path_equals_the_scan(
    name: str, options: dict[str, Any], steps: int, x64: None
) -> None:
    cell = build(name, **options)
    params, x = noisy_params(cell), sequence(steps)
    shape = cell.init_state(params)["h"].shape
    keys = jax.random.split(jax.random.key(4), 3)
    slot, weights = (jax.random.normal(key, (steps, *shape)) for key in keys[:2])
    start = jax.random.normal(keys[2], shape)
    arguments = (params, start, x, slot)

    def by_states(params: Params, start: Array, x: Array, slot: Array) -> Array:
        assert cell.states is not None
        return cell.states(params, {"h": start}, x, {"h": slot})["h"]

    def by_scan(params: Params, start: Array, x: Array, slot: Array) -> Array:
        return scanned(cell, params, {"h": start}, x, {"h": slot})["h"]

    def everything(path: Callable[..., Array]) -> Tree:
        """Values, derivatives along a direction, and gradients (by slots: the adjoint)."""

        def loss(*arguments: Tree) -> Array:
            return jnp.sum(weights * jnp.sin(path(*arguments)))

        directions = jax.tree.map(jnp.cos, arguments)
        gradients = jax.grad(loss, argnums=(0, 1, 2, 3))(*arguments)
        return jax.jvp(path, arguments, directions), gradients

    close(*jax.jit(lambda: (everything(by_states), everything(by_scan)))())


@pytest.mark.parametrize("name", ["lru", "min_gru", "min_lstm"])
def test_the_parallel_path_maps_over_a_batch(name: str, x64: None) -> None:
    cell = build(name)
    params, x = noisy_params(cell), sequence(T, B)
    assert cell.states is not None
    start = {"h": jnp.stack([cell.init_state(params)["h"]] * B)}
    states = jax.jit(jax.vmap(cell.states, (None, 0, 1, 1), 1))(params, start, x, {})
    close({"h": states["h"][-1]}, unroll(cell, params, x).final_state)
