"""A computation that is due in some steps: its values, and that it runs in those alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.branch import compute_if
from rnnexp.core.types import Array

RAN: list[float] = []


def square(x: Array, tree: dict[str, Array]) -> dict[str, Array]:
    """The square of x times a leaf; it says when it runs."""
    jax.debug.callback(lambda value: RAN.append(float(value)), x)
    return {"got": x**2 * tree["weight"]}


@pytest.mark.parametrize(
    ("due", "runs"), [([False, True, False], 3), ([False, False, False], 0)], ids=["one", "none"]
)
@pytest.mark.parametrize("shared", [False, True])
def test_lanes_compute_if_one_of_them_is_due(due: list[bool], runs: int, shared: bool) -> None:
    x, weight = jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 10.0, 100.0])
    tree = {"weight": weight[1] if shared else weight}
    RAN.clear()
    lanes = jax.vmap(lambda d, x, t: compute_if(d, square, x, t), (0, 0, None if shared else 0))
    got = jax.jit(lanes)(jnp.array(due), x, tree)["got"]
    jax.effects_barrier()
    np.testing.assert_array_equal(got, np.where(due, [1.0, 40.0, 900.0], 0))
    assert len(RAN) == runs


@pytest.mark.parametrize("due", [False, True])
def test_one_run_computes_if_it_is_due(due: bool) -> None:
    RAN.clear()
    run = jax.jit(lambda d: compute_if(d, square, jnp.array(3.0), {"weight": jnp.array(2.0)}))
    assert float(run(jnp.array(due))["got"]) == (18 if due else 0)
    jax.effects_barrier()
    assert len(RAN) == due
