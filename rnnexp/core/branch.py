"""A computation that is due in some training steps, also with lanes side by side.

Under `vmap` a `cond` with a predicate for each lane becomes a choice between results: both sides
are computed in every step. Here lanes compute if any of them is due.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from rnnexp.core.types import Array, Tree


def compute_if(due: Array, compute: Callable[..., Tree], *arguments: Tree) -> Tree:
    """`compute(*arguments)` where `due`, a boolean scalar; otherwise zeros of its shapes.

    What depends on an axis of `vmap` must be among the arguments. It has no gradient.
    """
    branch: Callable[..., Tree] = custom_vmap(lambda due, *args: _either(due, compute, *args))

    @branch.def_vmap  # type: ignore[attr-defined, untyped-decorator]
    def lanes(size: int, batched: list[Any], due_L: Array, *args: Tree) -> tuple[Tree, Tree]:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, batched[1:])
        of_all = jax.vmap(compute, axes, axis_size=size)
        got = _either(jnp.any(due_L), of_all, *args)
        due_L = jnp.broadcast_to(due_L, (size,))
        picked = jax.tree.map(lambda x: _pick(due_L, x), got)
        return picked, jax.tree.map(lambda _: True, picked)

    result: Tree = branch(due, *arguments)
    return result


def _either(due: Array, compute: Callable[..., Tree], *arguments: Tree) -> Tree:
    shapes = jax.eval_shape(compute, *arguments)
    zeros = lambda *_: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)  # noqa: E731
    return jax.lax.cond(due, compute, zeros, *arguments)


def _pick(due_L: Array, x: Array) -> Array:
    return jnp.where(due_L.reshape(-1, *(1,) * (x.ndim - 1)), x, jnp.zeros_like(x))
