"""The cell that a Flax cell becomes, by its functions of trees; see `rnnexp.models.wrap`."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell, hidden_output
from rnnexp.core.errors import UsageError, first_line, place_of
from rnnexp.core.tree import tree_size
from rnnexp.core.types import Array, Key, Params, State, Tree
from rnnexp.models.split_step import Call, Program, split_step

KEPT = "_kept_"
Result = TypeVar("Result")


class Wrapped(NamedTuple):
    """A Flax cell as functions of trees.

    Attributes:
      name: of its class.
      init: `key -> params`, a nested dict.
      start: `params -> carry`.
      call: `(params, carry, x) -> (carry, y)`; x has the shape that the Flax cell takes.
    """

    name: str
    init: Callable[[Key], Tree]
    start: Callable[[Tree], Tree]
    call: Call


def tried(name: str, function: Callable[[], Result]) -> Result:
    """What a function of the user's gives. Raises `UsageError` in place of its error."""
    try:
        return function()
    except UsageError:
        raise
    except flax.errors.InvalidRngError as error:
        raise UsageError(
            f"cannot wrap {name}: its call draws random numbers ({first_line(error)}); a cell's "
            "functions are pure: make it deterministic, and use config.model.dropout or "
            "config.model.recurrent_dropout"
        ) from error
    except Exception as error:  # whatever the user's cell raises is a fault of that cell
        place = place_of(error)
        raise UsageError(
            f"cannot wrap {name}: {type(error).__name__}: {first_line(error)}"
            + (f" ({place})" if place else "")
        ) from error


def wrapped_cell(wrapped: Wrapped, shape: tuple[int, ...], hidden: str | None) -> Cell:
    """The cell that a Flax cell becomes."""
    name = wrapped.name
    like = tried(name, lambda: jax.eval_shape(wrapped.init, jax.random.key(0)))
    carry = tried(name, lambda: _in_float_of(like, jax.eval_shape(wrapped.start, like)))
    x = jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(float))
    y = tried(name, lambda: _checked_output(wrapped, like, carry, x))
    program = split_step(wrapped.call, like, carry, x)
    same = list(program.same) or _equal_leaves(wrapped.call, like, carry, x)
    index = _hidden_index(name, carry, same, hidden)
    leaves = _leaf_names(carry, index)
    shaped = zip(leaves, jax.tree.leaves(carry), strict=True)
    probed = [leaf for leaf, like in shaped if leaf == "h" or (_is_float(like) and like.ndim)]
    read = None if not same else leaves[index if index in same else same[0]]
    kept = [] if same else [f"{KEPT}{n}" for n in range(len(program.kept))]
    parts = _Parts(wrapped, like, jax.tree.structure(carry), leaves, kept, shape)
    return Cell(
        name=name,
        input_size=math.prod(shape),
        output_size=y.size,
        init=parts.init,
        init_state=parts.init_state,
        transition=parts.split_transition if read is None else parts.transition,
        output=parts.split_output if read is None else _reading(read, carry, leaves),
        parameter_count=tree_size(like),
        probed=("h", *(leaf for leaf in probed if leaf != "h")),
        counters=(*(leaf for leaf in leaves if leaf not in probed), *kept),
    )


class _Parts:
    """The functions of a wrapped cell, whose parameters and states are flat dicts.

    Args:
      like: the shapes of the nested parameters.
      carry: the structure of the Flax carry; `leaves` names its leaves.
      kept: the names of what a transition keeps for the output.
      shape: of a step's input.
    """

    def __init__(
        self,
        wrapped: Wrapped,
        like: Tree,
        carry: Any,
        leaves: Sequence[str],
        kept: Sequence[str],
        shape: tuple[int, ...],
    ):
        self.wrapped, self.shape = wrapped, shape
        self.names, self.structure = _paths(like), jax.tree.structure(like)
        self.carry, self.leaves, self.kept = carry, leaves, kept
        self.programs: dict[Any, Program] = {}

    def init(self, key: Key) -> Params:
        """`Cell.init`: the parameters by the names of their paths."""
        return dict(zip(self.names, jax.tree.leaves(self.wrapped.init(key)), strict=True))

    def init_state(self, params: Params) -> State:
        """`Cell.init_state`: the Flax carry in the float type of the parameters."""
        tree = self._nested(params)
        carry = _in_float_of(tree, self.wrapped.start(tree))
        state = dict(zip(self.leaves, jax.tree.leaves(carry), strict=True))
        if self.kept:
            x = jnp.zeros(math.prod(self.shape))
            shapes = [v.aval for v in self._program(tree, carry, x).kept]
            state |= {
                n: jnp.zeros(v.shape, v.dtype) for n, v in zip(self.kept, shapes, strict=True)
            }
        return state

    def transition(self, params: Params, state: State, x_I: Array) -> State:
        """`Cell.transition` of a cell whose output is a leaf of the carry."""
        x = x_I.reshape(self.shape)
        carry, _ = self.wrapped.call(self._nested(params), self._carry(state), x)
        return dict(zip(self.leaves, jax.tree.leaves(carry), strict=True))

    def split_transition(self, params: Params, state: State, x_I: Array) -> State:
        """`Cell.transition` of any other cell."""
        tree, carry, x = self._nested(params), self._carry(state), x_I.reshape(self.shape)
        new, kept = self._program(tree, carry, x_I).step(tree, carry, x)
        return dict(zip((*self.leaves, *self.kept), (*new, *kept), strict=True))

    def split_output(self, params: Params, state: State, x_I: Array) -> Array:
        """`Cell.output` of any other cell."""
        tree, carry, x = self._nested(params), self._carry(state), x_I.reshape(self.shape)
        program = self._program(tree, carry, x_I)
        new, kept = jax.tree.leaves(carry), [state[name] for name in self.kept]
        return program.output(tree, new, kept, x).reshape(-1)

    def _nested(self, params: Params) -> Tree:
        return jax.tree.unflatten(self.structure, [params[name] for name in self.names])

    def _carry(self, state: State) -> Tree:
        return jax.tree.unflatten(self.carry, [state[leaf] for leaf in self.leaves])

    def _program(self, params: Tree, carry: Tree, x_I: Array) -> Program:
        """The divided call for arguments of these types; each is traced once."""
        types = tuple(leaf.dtype for leaf in jax.tree.leaves((params, carry, x_I)))
        if types not in self.programs:
            x = jax.ShapeDtypeStruct(self.shape, x_I.dtype)
            self.programs[types] = split_step(self.wrapped.call, params, carry, x)
        return self.programs[types]


def _reading(
    leaf: str, carry: Tree, leaves: Sequence[str]
) -> Callable[[Params, State, Array], Array]:
    """`Cell.output` of a cell whose output is a leaf of its state, flattened."""
    if leaf == "h" and jax.tree.leaves(carry)[leaves.index(leaf)].ndim == 1:
        return hidden_output

    def output(params: Params, state: State, x_I: Array) -> Array:
        del params, x_I
        return state[leaf].reshape(-1)

    return output


def _checked_output(wrapped: Wrapped, params: Tree, carry: Tree, x: Any) -> Any:
    """The output's shape. Raises `UsageError` unless a step gives a carry of the same form and
    one array."""
    new, y = jax.eval_shape(wrapped.call, params, carry, x)
    if _form(new) != _form(carry):
        raise UsageError(
            f"cannot wrap {wrapped.name}: its call turns a carry of {_form(carry)[1]} into one of "
            f"{_form(new)[1]}; expected the same structure, shapes and types"
        )
    if not hasattr(y, "shape"):
        raise UsageError(f"cannot wrap {wrapped.name}: its output is not one array")
    return y


def _form(tree: Tree) -> tuple[Any, str]:
    """The structure of a tree, and its leaves in words."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, ", ".join(f"{leaf.dtype} {leaf.shape}" for leaf in leaves) or "nothing"


def _equal_leaves(call: Call, params: Tree, carry: Tree, x: Any) -> list[int]:
    """The leaves of the new carry that equal the output, with their derivatives.

    Weights, carry and input are random, so that no leaf equals it because a factor is 1.
    """
    shapes, structure = jax.tree.flatten((params, carry, x))
    random = np.random.default_rng(0)
    at, along = ([_drawn(random, leaf) for leaf in shapes] for _ in range(2))

    @jax.jit
    def results(at: list[Array], along: list[Array]) -> tuple[list[Array], list[Array]]:
        def line(s: Array) -> list[Array]:
            moved = [
                a + s.astype(a.dtype) * d if _is_float(a) else a
                for a, d in zip(at, along, strict=True)
            ]
            return jax.tree.leaves(call(*jax.tree.unflatten(structure, moved)))

        values, slopes = jax.jvp(line, (jnp.zeros(()),), (jnp.ones(()),))
        return values, slopes

    with jax.ensure_compile_time_eval():
        *leaves, y = zip(*results(at, along), strict=True)
        return [n for n, leaf in enumerate(leaves) if all(map(_close, leaf, y))]


def _drawn(random: np.random.Generator, like: Any) -> np.ndarray:
    """Random floats, or zeros of another type."""
    values = random.normal(size=like.shape) if _is_float(like) else np.zeros(like.shape)
    return values.astype(like.dtype)


def _close(a: Array, b: Array) -> bool:
    same = a.shape == b.shape and a.dtype == b.dtype
    return same and bool(np.allclose(a, b, rtol=1e-5, atol=1e-6))


def _hidden_index(name: str, carry: Tree, same: Sequence[int], hidden: str | None) -> int:
    """Which leaf of the carry is the hidden state; `UsageError` if that is not clear."""
    leaves, paths = jax.tree.leaves(carry), _paths(carry)
    listed = ", ".join(f"{p!r} {leaf.shape}" for p, leaf in zip(paths, leaves, strict=True))
    if hidden is not None and hidden not in paths:
        raise UsageError(f"cannot wrap {name}: no leaf {hidden!r} in its carry, which has {listed}")
    if hidden is None and len(leaves) > 1 and len(same) != 1:
        found = "several leaves" if same else "no leaf"
        raise UsageError(
            f"cannot wrap {name}: its output is {found} of its carry, so its hidden state is not "
            f"clear; name it by hidden=..., one of {listed}"
        )
    index = paths.index(hidden) if hidden is not None else (*same, 0)[0]
    if not _is_float(leaves[index]):
        raise UsageError(f"cannot wrap {name}: its hidden state {listed} does not hold floats")
    return index


def _leaf_names(carry: Tree, hidden: int) -> list[str]:
    """The names of a carry's leaves in the state: `h`, and see the module."""
    paths = _paths(carry)
    if len(paths) == 2 and not any(path[:1].isalpha() for path in paths):
        paths = ["c", "c"]
    return [
        "h" if n == hidden else path if path[:1].isalpha() and path != "h" else f"carry_{path}"
        for n, path in enumerate(paths)
    ]


def _paths(tree: Tree) -> list[str]:
    """The paths of a tree's leaves, as names that all differ."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    for separator in ("_", "__", "."):
        names = [jax.tree_util.keystr(path, simple=True, separator=separator) for path in paths]
        if len({*names}) == len(names):
            return names
    return [jax.tree_util.keystr(path) for path in paths]


def _in_float_of(params: Tree, carry: Tree) -> Tree:
    """A carry, or its shapes, whose floats have the type of the parameters'."""
    floats = [leaf.dtype for leaf in jax.tree.leaves(params) if _is_float(leaf)]
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*floats) if floats else jax.dtypes.canonicalize_dtype(float)

    def cast(leaf: Any) -> Any:
        if not _is_float(leaf):
            return leaf
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(leaf.shape, dtype)
        return leaf.astype(dtype)

    return jax.tree.map(cast, carry)


def _is_float(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))
