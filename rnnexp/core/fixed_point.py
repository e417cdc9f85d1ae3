"""The fixed point of a contraction, and its derivative by the implicit function theorem.

At z = f(z) a change of what f depends on moves z by (1 - J)^-1 times the change of f, with J the
Jacobian of f by z. A cotangent g becomes (1 - J^T)^-1 g, the limit of g + J^T g + J^T J^T g + ...:
what backpropagation through T iterations adds up in T terms, with an error that shrinks by the
spectral radius of J a step. Neither the iterations nor the start are kept, and the start gets no
gradient. Almeida 1987 and Pineda 1987 ("recurrent backpropagation"); for graphs Scarselli, Gori,
Tsoi, Hagenbuchner & Monfardini 2009, "The graph neural network model", section III-A.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Tree


def fixed_point(
    function: Callable[[Tree], Tree], start: Tree, *, tolerance: float, most: int
) -> Tree:
    """z = function(z), by iteration from `start`; a tree of floats.

    It, and the series of its derivatives, end when no number changes by more than `tolerance` times
    1 + the largest of them, or after `most` iterations.
    """

    def solve(residual: Callable[[Tree], Tree], z: Tree) -> Tree:
        del residual
        return _iterated(function, z, tolerance, most)

    def series(matvec: Callable[[Tree], Tree], y: Tree) -> Tree:
        """x with matvec(x) = y, for matvec = 1 - J: x <- y + J x."""

        def onward(x: Tree) -> Tree:
            return jax.tree.map(lambda x, y, ax: y + x - ax, x, y, matvec(x))

        return _iterated(onward, y, tolerance, most)

    def tangent_solve(matvec: Callable[[Tree], Tree], y: Tree) -> Tree:
        return jax.lax.custom_linear_solve(matvec, y, solve=series, transpose_solve=series)

    def residual(z: Tree) -> Tree:
        return jax.tree.map(jnp.subtract, z, function(z))

    return jax.lax.custom_root(residual, start, solve, tangent_solve)


def _iterated(function: Callable[[Tree], Tree], z: Tree, tolerance: float, most: int) -> Tree:
    """The last of z, function(z), function(function(z)), ..."""

    def goes_on(carry: tuple[Array, Array, Tree]) -> Array:
        count, moved, _ = carry
        return (count < most) & moved

    def once(carry: tuple[Array, Array, Tree]) -> tuple[Array, Array, Tree]:
        count, _, z = carry
        new = function(z)
        change = _largest(jax.tree.map(jnp.subtract, new, z))
        return count + 1, change > tolerance * (1 + _largest(new)), new

    found: Tree = jax.lax.while_loop(goes_on, once, (jnp.int32(0), jnp.bool_(True), z))[2]
    return found


def _largest(tree: Tree) -> Array:
    """The largest absolute value of all leaves."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)]))
