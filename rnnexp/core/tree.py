"""Names and norms over trees of arrays."""

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Tree


def stable_norm(x: Array, axis: int | None = None) -> Array:
    """Euclidean norm along `axis` (None: all axes), free of overflow and underflow.

    The square of a float32 below 1e-19 is 0 and of one above 1e19 is inf, and gradients
    through time exceed both; so the largest magnitude is divided out first. A non-finite
    entry makes the norm non-finite.
    """
    scale = _scale(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0.0))
    scaled = x / jnp.broadcast_to(scale, x.shape)
    norm = scale * jnp.sqrt(jnp.sum(scaled * scaled, axis=axis, keepdims=True))
    return jnp.squeeze(norm, axis=axis)


def _scale(largest: Array) -> Array:
    """The divisor before squaring, from the largest magnitudes."""
    # Compiled code may lose a NaN in a maximum; the sum of the quotients keeps it.
    usable = jnp.isfinite(largest) & (largest > 0)
    return jnp.where(usable, largest, jnp.ones_like(largest))


def leaf_norms(tree: Tree) -> dict[str, Array]:
    """`stable_norm` of every leaf, by its path: `{"layer_0/w_h": ..., "readout/kernel": ...}`.

    The scalars of all leaves are computed together: each small program costs compile time.
    """
    named = {name: leaf.reshape(-1) for name, leaf in named_leaves(tree).items()}
    scales = _scale(jnp.stack([jnp.max(jnp.abs(x), initial=0.0) for x in named.values()]))
    scaled = [x / jnp.broadcast_to(s, x.shape) for x, s in zip(named.values(), scales, strict=True)]
    norms = scales * jnp.sqrt(jnp.stack([jnp.sum(x * x) for x in scaled]))
    return dict(zip(named, norms, strict=True))


def tree_norm(tree: Tree) -> Array:
    """`stable_norm` of all leaves as one vector, which takes the compiler a quarter of the time
    of sums leaf by leaf."""
    return stable_norm(flat(tree))


def tree_norms(*trees: Tree) -> Array:
    """`tree_norm` of several trees with equally many scalars, (trees,)."""
    return stable_norm(jnp.stack([flat(tree) for tree in trees]), axis=-1)


def flat(tree: Tree) -> Array:
    """All leaves as one vector."""
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(tree)])


def named_leaves(tree: Tree) -> dict[str, Array]:
    """The leaves of a tree by path, joined with `/`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def tree_bytes(tree: Tree) -> int:
    """Bytes of all leaves."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def tree_size(tree: Tree) -> int:
    """Number of scalars in a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
