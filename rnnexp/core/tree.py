"""Names and norms over trees of arrays."""

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Tree


def stable_norm(x: Array, axis: int | None = None) -> Array:
    """Euclidean norm along `axis` (all axes if None), free of overflow and underflow.

    Squaring a float32 below 1e-19 gives 0 and one above 1e19 gives inf, both well
    inside the range that gradients through time cover; so the largest magnitude is
    divided out first. A non-finite entry makes the norm non-finite.
    """
    scale = _scale(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0.0))
    scaled = x / jnp.broadcast_to(scale, x.shape)
    norm = scale * jnp.sqrt(jnp.sum(scaled * scaled, axis=axis, keepdims=True))
    return jnp.squeeze(norm, axis=axis)


def _scale(largest: Array) -> Array:
    """What to divide by before squaring, where the largest magnitudes are these."""
    # Compiled code may lose a NaN in a maximum; the sum of what is divided keeps every one.
    usable = jnp.isfinite(largest) & (largest > 0)
    return jnp.where(usable, largest, jnp.ones_like(largest))


def leaf_norms(tree: Tree) -> dict[str, Array]:
    """`stable_norm` of every leaf, by its path: `{"layer_0/w_h": ..., "readout/kernel": ...}`.

    What is one number a leaf is computed for all leaves at once, as each small program costs
    time to compile.
    """
    named = {name: leaf.reshape(-1) for name, leaf in named_leaves(tree).items()}
    scales = _scale(jnp.stack([jnp.max(jnp.abs(x), initial=0.0) for x in named.values()]))
    scaled = [x / jnp.broadcast_to(s, x.shape) for x, s in zip(named.values(), scales, strict=True)]
    norms = scales * jnp.sqrt(jnp.stack([jnp.sum(x * x) for x in scaled]))
    return dict(zip(named, norms, strict=True))


def tree_norm(tree: Tree) -> Array:
    """Euclidean norm of all leaves taken as one vector, free of overflow.

    The vector is made: sums leaf by leaf would be small programs each, four times the work for
    the compiler.
    """
    return stable_norm(flat(tree))


def tree_norms(*trees: Tree) -> Array:
    """`tree_norm` of several trees with equally many scalars, (trees,)."""
    return stable_norm(jnp.stack([flat(tree) for tree in trees]), axis=-1)


def flat(tree: Tree) -> Array:
    """All leaves in one vector."""
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(tree)])


def named_leaves(tree: Tree) -> dict[str, Array]:
    """The leaves of a tree by their path, joined with `/`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def tree_bytes(tree: Tree) -> int:
    """Bytes of all leaves."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def tree_size(tree: Tree) -> int:
    """Number of scalars in a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
