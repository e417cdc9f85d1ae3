"""A user's Flax recurrent cell as a cell of this project.

    cell = from_linen(nn.OptimizedLSTMCell(64), input_size=10)
    cell = from_nnx(lambda rngs: nnx.GRUCell(10, 64, rngs=rngs), input_size=10)

The result satisfies the contract of `rnnexp.cells.base`, and computes what the Flax cell does.

**State.** Its leaves are those of the Flax carry, whatever that is: one array or many, of any
shape. The hidden state is the leaf that the cell also returns as its output, found by a call
with random weights; its name is `h`. If none is, or several are, the keyword `hidden` names it
by its path in the carry (`"0"` is the first of a tuple). The other leaf of a pair is `c`; of a
larger carry they have their own names, or `carry_0`, `carry_1`, ... All are probed but single
numbers (which count steps) and whole numbers.

**Output.** It is what the Flax cell returns; more than one axis is flattened. A leaf of the new
carry is read there. Any other output is computed after the probe, from the new carry, so that
dL/dh_t counts the way through the output. What it takes from the *old* carry besides (y = o *
tanh(c) with c alone in the carry, say) is kept in leaves `_kept_0`, ... that are not probed:
dL/ds_t is the derivative by the new carry with these held fixed, and the gradient of all
parameters is exact. See `rnnexp.models.split_step`.

**Parameters.** Flax draws them. A cell that keeps other state (running averages, spectral
norms) or draws random numbers in its call (dropout) is refused. `config.model.dropout` and
`config.model.recurrent_dropout` work around any cell.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Tree
from rnnexp.models.wrapped import Wrapped, tried, wrapped_cell


def from_linen(
    module: nn.RNNCellBase,
    input_size: int,
    *,
    hidden: str | None = None,
    input_shape: Sequence[int] | None = None,
) -> Cell:
    """A cell that computes what a `flax.linen` cell does.

    Args:
      hidden: the leaf of the carry that is the hidden state, if the output does not tell.
      input_shape: the shape of a step's input in which `module` takes the `input_size` numbers,
        such as (8, 8, 1) for a convolution; None: (input_size,).

    Raises `UsageError` for a cell with other state than its carry and parameters, one that draws
    random numbers, or a hidden state that is not clear.
    """
    shape = _shape(input_size, input_shape)

    def variables(key: Key) -> Mapping[str, Tree]:
        key_init, key_carry = jax.random.split(key)
        carry = module.initialize_carry(key_carry, shape)
        drawn: Mapping[str, Tree] = module.init(key_init, carry, jnp.zeros(shape))
        return drawn

    def init(key: Key) -> Tree:
        return variables(key).get("params", {})

    def call(params: Tree, carry: Tree, x: Array) -> tuple[Tree, Array]:
        result: Any = module.apply({"params": params}, carry, x)
        return result[0], result[1]

    name = type(module).__name__
    found = tried(name, lambda: jax.eval_shape(variables, jax.random.key(0)))
    if others := sorted(set(found) - {"params"}):
        raise UsageError(
            f"cannot wrap {name}: it keeps state besides its carry and parameters, in the Flax "
            f"collection {', '.join(others)}; a cell's functions are pure"
        )
    carry = tried(name, lambda: module.initialize_carry(jax.random.key(0), shape))
    return wrapped_cell(Wrapped(name, init, lambda _: carry, call), shape, hidden)


def from_nnx(
    make: Callable[[nnx.Rngs], Any],
    input_size: int,
    *,
    hidden: str | None = None,
    input_shape: Sequence[int] | None = None,
) -> Cell:
    """A cell that computes what a `flax.nnx` cell does; `make` builds it from `nnx.Rngs`.

    The initial carry may be made of parameters. The other arguments and errors are those of
    `from_linen`.
    """
    shape = _shape(input_size, input_shape)

    def init(key: Key) -> Tree:
        return nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key)), nnx.Param))

    example = tried("the Flax cell", lambda: make(nnx.Rngs(0)))
    name = type(example).__name__
    parts: Any = nnx.split(example, nnx.Param, ...)
    graphdef, drawn, rest = parts

    def merged(params: Tree) -> Any:
        # each call has variables of its own, so that it can change no one else's
        return nnx.merge(graphdef, params, jax.tree.map(lambda leaf: leaf, rest))

    def call(params: Tree, carry: Tree, x: Array) -> tuple[Tree, Array]:
        module = merged(params)
        result: tuple[Tree, Array] = module(carry, x)
        _require_unchanged(name, rest, module)
        return result

    def start(params: Tree) -> Tree:
        return merged(params).initialize_carry(shape, nnx.Rngs(0))

    _require_constants(name, make, rest)
    traced = tried(name, lambda: jax.make_jaxpr(start)(nnx.to_pure_dict(drawn)))
    uses = {id(v) for eqn in traced.eqns for v in eqn.invars} | {*map(id, traced.jaxpr.outvars)}
    if uses.isdisjoint(map(id, traced.jaxpr.invars)):  # the same for all parameters
        carry = example.initialize_carry(shape, nnx.Rngs(0))
        return wrapped_cell(Wrapped(name, init, lambda _: carry, call), shape, hidden)
    return wrapped_cell(Wrapped(name, init, start, call), shape, hidden)


def _require_unchanged(name: str, rest: Any, module: Any) -> None:
    """Raise `UsageError` if a call changed a variable that is no parameter."""
    parts: Any = nnx.split(module, nnx.Param, ...)
    before, after = dict(nnx.to_flat_state(rest)), dict(nnx.to_flat_state(parts[2]))
    changed = {
        f"{'.'.join(map(str, path))} ({type(variable).__name__})"
        for path, variable in after.items()
        if path not in before or variable.get_value() is not before[path].get_value()
    }
    if changed:
        raise UsageError(
            f"cannot wrap {name}: its call changes state besides its carry, "
            f"{', '.join(sorted(changed))}; a cell's functions are pure"
        )


def _require_constants(name: str, make: Callable[[nnx.Rngs], Any], rest: Any) -> None:
    """Raise `UsageError` for variables that are neither parameters nor the same for all keys."""
    held = {
        path: variable
        for path, variable in nnx.to_flat_state(rest)
        if not isinstance(variable, nnx.RngState)
    }
    if not held:
        return
    parts: Any = nnx.split(make(nnx.Rngs(1)), nnx.Param, ...)
    others = dict(nnx.to_flat_state(parts[2]))
    for path, variable in held.items():
        of_batch = isinstance(variable, nnx.BatchStat)
        if of_batch or not jnp.array_equal(variable.get_value(), others[path].get_value()):
            why = "statistics of batches" if of_batch else "drawn at random, but no nnx.Param"
            raise UsageError(
                f"cannot wrap {name}: {'.'.join(map(str, path))} ({type(variable).__name__}) is "
                f"{why}; a cell keeps its carry and parameters alone"
            )


def _shape(input_size: int, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    """The shape of a step's input; `UsageError` if it has another size."""
    shape = (input_size,) if input_shape is None else tuple(input_shape)
    if math.prod(shape) != input_size:
        raise UsageError(f"input_shape {shape} does not have input_size = {input_size} numbers")
    return shape
