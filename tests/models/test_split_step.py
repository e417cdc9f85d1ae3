"""The two parts of a step are the step, and the output hangs on the new carry wherever it can."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array, Tree
from rnnexp.models.split_step import split_step

H = 3
PARAMS = {"p": jnp.arange(9.0).reshape(H, H) / 9, "w": 0.5 * jnp.eye(H)}
X = jnp.array([0.1, -0.2, 0.3])


def new_h(params: Tree, h: Array, x: Array) -> Array:
    return jnp.tanh(h @ params["w"] + x)


def leaf(params: Tree, h: Array, x: Array) -> tuple[Tree, Array]:
    h = new_h(params, h, x)
    return h, h


def projected(params: Tree, h: Array, x: Array) -> tuple[Tree, Array]:
    h = new_h(params, h, x)
    return h, h @ params["p"] + x


def gated(params: Tree, h: Array, x: Array) -> tuple[Tree, Array]:
    gate, new = jax.nn.sigmoid(h), new_h(params, h, x)
    return new, gate * (new @ params["p"])


def before(params: Tree, h: Array, x: Array) -> tuple[Tree, Array]:
    return new_h(params, h, x), h @ params["p"]


def constant(params: Tree, h: Array, x: Array) -> tuple[Tree, Array]:
    return new_h(params, h, x), jnp.ones(2)


def untouched(params: Tree, carry: Tree, x: Array) -> tuple[Tree, Array]:
    c, h = carry
    h = new_h(params, h, x)
    return (c, h), h @ params["p"] + c


TABLE: dict[str, tuple[Any, int, bool]] = {
    "leaf": (leaf, 0, True),
    "projected": (projected, 0, True),
    "compiled": (jax.jit(projected), 0, True),
    "recomputed": (jax.checkpoint(projected), 0, True),
    "gated": (gated, 1, True),
    "before": (before, 1, False),
    "constant": (constant, 0, False),
    "untouched": (untouched, 1, True),
}
"""By name a step, how many values its output is given beside the new carry, and whether its output
is a function of the new h."""


@pytest.mark.parametrize("name", TABLE)
def test_the_parts_are_the_step(name: str) -> None:
    step, kept, depends = TABLE[name]
    h = jnp.array([0.5, 0.4, -0.3])
    carry = (jnp.ones(H), h) if name == "untouched" else h
    program = split_step(step, PARAMS, carry, X)
    assert len(program.kept) == kept
    assert program.same == ([0] if name == "leaf" else [])

    def both(params: Tree, carry: Tree, x: Array) -> Tree:
        new, kept = program.step(params, carry, x)
        return [*new, program.output(params, new, kept, x)]

    def whole(params: Tree, carry: Tree, x: Array) -> Tree:
        return jax.tree.leaves(step(params, carry, x))

    @jax.jit
    def compared() -> Any:
        along = jax.tree.map(jnp.sin, (PARAMS, carry, X))
        by_parts = jax.jvp(both, (PARAMS, carry, X), along)
        new, kept = program.step(PARAMS, carry, X)

        def moved(h: Array) -> Array:
            return program.output(PARAMS, [*new[:-1], h], kept, X)

        return by_parts, jax.jvp(whole, (PARAMS, carry, X), along), jax.jacobian(moved)(new[-1])

    by_parts, expected, slope = compared()
    for one, other in zip(jax.tree.leaves(by_parts), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert np.any(np.asarray(slope) != 0) == depends
