"""Arguments of `custom_vjp` with symbolic zeros as arrays, for both kinds of kernels."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Tree


def plain(tree: Tree) -> Any:
    """The values of a forward pass's arguments."""
    return jax.tree.map(lambda leaf: leaf.value, tree)


def marked(x: Any) -> dict[str, tuple[()]]:
    """An entry `dx` if the derivative by this argument of a forward pass is needed.

    It is part of the structure, because leaves of the residuals become traced arrays.
    """
    return {"dx": ()} if x.perturbed else {}


def dense(tree: Tree) -> Any:
    """Cotangents as arrays."""
    return jax.tree.map(_array, tree, is_leaf=is_zero)


def is_zero(leaf: Any) -> bool:
    """Whether this is the cotangent of a value that the result does not depend on."""
    return isinstance(leaf, jax.custom_derivatives.SymbolicZero)


def _array(leaf: Any) -> Array:
    return jnp.zeros(leaf.shape, leaf.dtype) if is_zero(leaf) else leaf
