"""Products of explicit step Jacobians, and the map in their place, against NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Params
from rnnexp.laboratory.products import jacobian_products
from tests.helpers.noisy_params import noisy_params
from tests.helpers.products_by_hand import (
    SPANS,
    STARTS,
    B,
    H,
    by_numpy,
    cell_of,
    inputs,
    products,
    size_of,
)

BLOCKS = [("rnn", "hidden"), ("lstm", "hidden"), ("lstm", "state"), ("gru", "hidden")]


@pytest.mark.parametrize("method", ["exact", "krylov"])
@pytest.mark.parametrize(("name", "which"), BLOCKS)
def test_both_ways_equal_explicit_products_in_numpy(
    name: str, which: str, method: str, x64: None
) -> None:
    """All values, their means over starts and examples, of a block and of the whole state."""
    cell = cell_of(name)
    given: dict[str, Any] = {"spans": SPANS, "starts": STARTS, "which": which}
    expected = by_numpy(cell, noisy_params(cell), inputs(), **given)
    found = products(name, method, which)
    assert found.singular.shape == found.error.shape == (3, size_of(name, which))
    for part in ("singular", "smallest", "condition"):
        values = getattr(found, part)
        np.testing.assert_allclose(values, getattr(expected, part), rtol=1e-8, atol=1e-8)


def test_the_trajectory_begins_where_it_is_told_to(x64: None) -> None:
    """Spans from step 3 on are those of what is left, from the state after three steps."""
    cell = cell_of("rnn")
    later = products("rnn", "exact", starts=(3, 3))
    step = jax.jit(jax.vmap(cell.transition, (None, 0, 0)))
    state = {"h": jnp.zeros((B, H))}
    for x_BxI in inputs()[:3]:
        state = dict(step(noisy_params(cell), state, x_BxI))
    shifted = jnp.roll(inputs(), -3, 0)
    rest = products("rnn", "exact", starts=(0, 0), x=shifted, state=state)
    np.testing.assert_allclose(later.singular, rest.singular, rtol=1e-10)
    unlike = products("rnn", "exact", starts=(0, 0), x=shifted)
    assert np.all(np.abs(unlike.singular - rest.singular) > 1e-4)


@pytest.mark.slow
def test_float32_is_as_good_as_its_steps(x64: None) -> None:
    double = products("gru", "exact")
    cell = cell_of("gru")
    single: Params = jax.tree.map(lambda p: np.asarray(p, np.float32), dict(noisy_params(cell)))
    x = np.asarray(inputs(), np.float32)
    with jax.enable_x64(False):
        found = jacobian_products(
            *(cell, single, jnp.asarray(x)), count=H, spans=SPANS, starts=STARTS, method="exact"
        )
    assert found.singular.dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(found.singular), double.singular, atol=1e-4)
