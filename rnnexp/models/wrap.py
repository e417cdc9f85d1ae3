"""A user's Flax recurrent cell as a cell of this project.

    cell = from_linen(nn.OptimizedLSTMCell(64), input_size=10)
    cell = from_nnx(lambda rngs: nnx.GRUCell(10, 64, rngs=rngs), input_size=10)

The result satisfies the contract of `rnnexp.cells.base`. The leaves of its state are those
of the Flax carry: `h` if there is one, `c` and `h`, in this order, for a pair.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Params, State, Tree

CARRIES = {1: ("h",), 2: ("c", "h")}


def from_linen(module: nn.RNNCellBase, input_size: int) -> Cell:
    """A cell that computes what a `flax.linen` cell does; Flax draws its weights.

    Raises `UsageError` unless its carry is one vector or two.
    """
    shape = (input_size,)
    carry = module.initialize_carry(jax.random.key(0), shape)
    require_vectors(type(module).__name__, carry)

    def init_tree(key: Key) -> Tree:
        key_init, key_carry = jax.random.split(key)
        carry = module.initialize_carry(key_carry, shape)
        return module.init(key_init, carry, jnp.zeros(shape))["params"]

    def init(key: Key) -> Params:
        return _named(init_tree(key))

    like = jax.eval_shape(init_tree, jax.random.key(0))

    def call(params: Params, carry: Tree, x_I: Array) -> tuple[Tree, Array]:
        result: Any = module.apply({"params": _unnamed(params, like)}, carry, x_I)
        return result[0], result[1]

    return _wrapped(type(module).__name__, input_size, init, call, carry)


def from_nnx(make: Callable[[nnx.Rngs], Any], input_size: int) -> Cell:
    """A cell that computes what a `flax.nnx` cell does; `make` builds it from `nnx.Rngs`.

    Raises `UsageError` as `from_linen` does.
    """

    def init(key: Key) -> Params:
        return _named(nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key)), nnx.Param)))

    example = make(nnx.Rngs(0))
    carry = example.initialize_carry((input_size,), nnx.Rngs(0))
    require_vectors(type(example).__name__, carry)
    parts: Any = nnx.split(example, nnx.Param, ...)
    graphdef, like, rest = parts
    structure = nnx.to_pure_dict(like)

    def call(params: Params, carry: Tree, x_I: Array) -> tuple[Tree, Array]:
        module = nnx.merge(graphdef, _unnamed(params, structure), rest)
        result: tuple[Tree, Array] = module(carry, x_I)
        return result

    return _wrapped(type(example).__name__, input_size, init, call, carry)


def require_vectors(name: str, carry: Tree) -> None:
    """Raise `UsageError` unless a carry is one vector or two."""
    leaves = jax.tree.leaves(carry)
    if len(leaves) not in CARRIES or any(leaf.ndim != 1 for leaf in leaves):
        raise UsageError(f"cannot wrap {name}: its carry is not one or two vectors")


def _wrapped(
    name: str,
    input_size: int,
    init: Callable[[Key], Params],
    call: Callable[[Params, Tree, Array], tuple[Tree, Array]],
    carry: Tree,
) -> Cell:
    """A cell from a call `(params, carry, x) -> (carry, y)` with y in the carry."""
    leaves, treedef = jax.tree.flatten(carry)
    names = CARRIES[len(leaves)]

    def init_state(params: Params) -> State:
        dtype = ravel_pytree(dict(params))[0].dtype
        return {leaf: value.astype(dtype) for leaf, value in zip(names, leaves, strict=True)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        carry = jax.tree.unflatten(treedef, [state[leaf] for leaf in names])
        return dict(zip(names, jax.tree.leaves(call(params, carry, x_I)[0]), strict=True))

    count = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0))))
    return Cell(
        name=name,
        input_size=input_size,
        output_size=leaves[-1].shape[0],
        init=init,
        init_state=init_state,
        transition=transition,
        parameter_count=count,
        probed=tuple(reversed(names)),
    )


def _named(tree: Tree) -> Params:
    """A nested dict of parameters as a flat one, whose keys can be attribute names."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="_"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _unnamed(params: Params, like: Tree) -> Tree:
    """The inverse of `_named`, in the form of `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), [params[name] for name in _named(like)])
