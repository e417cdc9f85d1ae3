"""Fixed points of graph networks: the implicit gradient, and what a fixed point depends on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.cells.graph import graph
from rnnexp.core.types import Array, Params
from tests.helpers.graphs import H, I, answer_of, both_ways, context_of, made, typed

pytestmark = pytest.mark.usefixtures("x64")
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("update", ["rnn", "gru"])
def test_backpropagation_approaches_the_implicit_gradient_by_the_spectral_radius(
    update: str,
) -> None:
    """Through T steps from the fixed point: the error shrinks by rho(J) a step, J of one step."""
    context = typed()
    options: dict[str, Any] = {
        "node_cell": update, "fixed_point": True, "tolerance": 1e-15, "output_size": 2,
    }  # fmt: skip
    cell, params = made(context, steps=2000, **options)
    whole = {**params, CONTEXT: cell.context(params, context)}  # type: ignore[misc]
    one = graph(
        I, H, example_context=context, steps=1, **options
    )  # one iteration, without the theorem
    point = cell.transition(whole, cell.start(whole), jnp.zeros(I))["h"]  # type: ignore[misc]
    weights = jnp.asarray(RANDOM.normal(size=point.shape))

    def step(params: Params, h: Array) -> Array:
        inside = {**params, CONTEXT: cell.context(params, context)}  # type: ignore[misc]
        new: Array = once_of(one)(inside, {"h": h})["h"]
        return new

    np.testing.assert_allclose(step(params, point), point, atol=1e-13)

    @jax.jit
    def implicit(params: Params) -> Params:
        def value(params: Params) -> Array:
            inside = {**params, CONTEXT: cell.context(params, context)}  # type: ignore[misc]
            state = cell.transition(inside, {"h": point}, jnp.zeros(I))
            return jnp.sum(weights * state["h"])

        found: Params = jax.grad(value)(params)
        return found

    @jax.jit
    def terms(params: Params) -> Array:
        """Partial sums of g + J^T g + ..., by backpropagation through 1, 2, ... steps."""
        back_h = jax.vjp(lambda h: step(params, h), point)[1]
        back_p = jax.vjp(lambda p: step(p, point), params)[1]

        def add(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
            g, total = carry
            total = total + ravel_pytree(back_p(g)[0])[0]
            return (back_h(g)[0], total), total

        zero = jnp.zeros(ravel_pytree(params)[0].size)
        totals: Array = jax.lax.scan(add, (weights, zero), None, length=400)[1]
        return totals

    exact = ravel_pytree(implicit(params))[0]
    errors = np.linalg.norm(np.asarray(terms(params)) - np.asarray(exact)[None], axis=1)
    jacobian = jax.jacobian(lambda h: step(params, h).ravel())(point).reshape(point.size, -1)
    radius = np.abs(np.linalg.eigvals(jacobian)).max()
    assert 0.05 < radius < 0.95
    last = int(np.flatnonzero(errors > 1e-11 * np.linalg.norm(exact))[-1])
    half = last // 2
    rate = (errors[last] / errors[half]) ** (1 / (last - half))
    np.testing.assert_allclose(rate, radius, rtol=0.05)
    assert errors[-1] < 1e-9 * np.linalg.norm(exact)


def once_of(cell: Cell) -> Any:
    """One iteration, as a function that differentiates as it is: without `custom_root`."""

    def once(params: Params, state: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rnnexp.cells.graph.solved", lambda f, start, **rest: f(start))
            return cell.transition(params, state, jnp.zeros(I))

    return once


def test_a_fixed_point_depends_on_all_reachable_nodes() -> None:
    """However far, and not on its start."""
    size = 6
    path = both_ways([(v, v + 1) for v in range(size - 1)])
    x_VxI = RANDOM.normal(size=(size, I))
    context = context_of(x_VxI, path, asked=0)
    cell, params = made(context, node_cell="rnn", fixed_point=True, steps=500, output_size=1)
    assert cell.steps == 1
    assert cell.note

    @jax.jit
    def slope(x: Array) -> Array:
        found: Array = jax.grad(
            lambda x: answer_of(cell, params, {**context, "annotations": x})[0]
        )(x)
        return found

    sizes_V = np.abs(slope(jnp.asarray(x_VxI))).max(1)
    assert np.all(sizes_V > 0)
    assert sizes_V[-1] < sizes_V[0]
