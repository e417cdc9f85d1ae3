"""Which parameters of a cell are recurrent, found in its equations instead of declared.

A parameter is recurrent if the transition multiplies something computed from the state by
something computed from the parameter alone (or from it and the input): W_h in W_h h_{t-1},
u in u * h_{t-1}, lambda of a diagonal recurrence. Those are what the Jacobian of a step is
made of. Input kernels and biases are not, though they move the point at which a slope is
taken. No cell needs a line for it.

This module answers three questions, which have three answers:

* `find_recurrence`: the *names* of all recurrent parameters, whatever leaf of the state they
  multiply and however. The transition is traced once, on shapes.
* `recurrent_blocks`: of these the *square blocks* of matrices that multiply a whole leaf.
* `hidden_rows`: the *rows* of matrices that multiply the hidden state, also of a kernel that
  multiplies inputs and hidden state joined into one vector. A trace cannot tell such rows
  apart; the derivative of a step can. It is the fallback for `Cell.recurrent_matrices`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.tree import named_leaves
from rnnexp.core.types import Array, Key, Params, State

LOOPS = ("scan", "while", "cond")


class Mark(NamedTuple):
    """What a value was computed from: these parameters, and the state or not."""

    names: frozenset[str] = frozenset()
    state: bool = False


class Recurrence(NamedTuple):
    """Parameters that multiply the state: in matrix products, and element by element."""

    products: frozenset[str]
    factors: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """All recurrent parameters."""
        return self.products | self.factors


def find_recurrence(cell: Cell, *, prepared: bool = False) -> Recurrence:
    """The recurrent parameters of a cell, by name.

    Args:
      prepared: among what `cell.prepare` gives, where a matrix exponential, say, is a
        parameter of its own, instead of among what is trained.
    """
    params = jax.eval_shape(cell.init, jax.random.key(0))
    state = jax.eval_shape(cell.init_state, params)
    if prepared:
        params = jax.eval_shape(cell.prepare, params)
    x_I = jax.ShapeDtypeStruct((cell.input_size,), jax.dtypes.canonicalize_dtype(float))
    marks = [Mark(frozenset([name])) for name in named_leaves(params)]
    marks += [Mark(state=True) for _ in jax.tree.leaves(state)] + [Mark()]
    traced = jax.make_jaxpr(cell.transition)(params, state, x_I)
    found = Recurrence(frozenset(), frozenset())
    return _follow(traced.jaxpr, marks, found)[1]


def recurrent_blocks(cell: Cell, params: Params) -> dict[str, Array]:
    """The square blocks (N, H, H) of every recurrent kernel, by its parameter's name.

    A kernel is a matrix, prepared or trained, that takes a vector of the state's size H in
    a product; gates side by side, (H, N * H), are N blocks. Empty where a cell has none.
    """
    prepared = cell.prepare(params)
    sizes = {leaf.size for leaf in jax.tree.leaves(jax.eval_shape(cell.init_state, params))}
    named = named_leaves(prepared)
    blocks = {}
    for name in sorted(find_recurrence(cell, prepared=True).products):
        shape = named[name].shape
        if len(shape) == 2 and shape[0] in sizes and shape[1] % shape[0] == 0:
            H = shape[0]
            blocks[name] = jnp.swapaxes(named[name].reshape(H, shape[1] // H, H), 0, 1)
    return blocks


@lru_cache(maxsize=64)
def hidden_rows(cell: Cell) -> dict[str, np.ndarray]:
    """The rows of each 2-D parameter that multiply the hidden state, by the parameter's name.

    Those parameters alone of which as many rows multiply it, or another leaf of its shape, as
    it has units, and whose columns are a multiple of that. Parameters are the prepared ones.

    A row that multiplies something has a derivative of zero where that is zero. So at x =
    0, with nothing in the state but the hidden leaf and those of its shape, only rows
    that multiply these have one. Parameters are drawn at random, so that none is zero.
    """
    with jax.ensure_compile_time_eval():
        by_name: Params = jax.jit(lambda key: _hidden_slopes(cell, key))(jax.random.key(0))
    size = int(jax.eval_shape(cell.init_state, by_name)[cell.hidden].size)
    found = {}
    for name, slope in by_name.items():
        if slope.ndim != 2 or slope.shape[1] % size:
            continue
        rows = np.flatnonzero(np.any(np.asarray(slope) != 0, axis=1))
        if len(rows) == size:
            found[name] = rows
    return found


def _hidden_slopes(cell: Cell, key: Key) -> Params:
    """The derivative by the prepared parameters of a step from a hidden state alone."""
    key_init, key_noise, key_state, key_out = jax.random.split(key, 4)
    params = cell.prepare(cell.init(key_init))
    flat, unravel = ravel_pytree(dict(params))
    params = unravel(flat + 0.3 * jax.random.normal(key_noise, flat.shape, flat.dtype))
    state = _hidden_alone(cell, params, key_state)
    weights = jax.random.normal(key_out, state[cell.hidden].shape, flat.dtype)
    x_I = jnp.zeros(cell.input_size, flat.dtype)

    def mixture(params: Params) -> Array:
        new = cell.transition(params, state, x_I)
        return sum((jnp.sum(leaf) for leaf in new.values()), jnp.sum(weights * new[cell.hidden]))

    slopes: Params = jax.grad(mixture)(dict(params))
    return slopes


def _hidden_alone(cell: Cell, params: Params, key: Key) -> State:
    """A state of zeros but for the leaves of the hidden one's shape, which are random."""
    state = cell.init_state(params)
    shape = state[cell.hidden].shape
    return {
        name: jax.random.normal(jax.random.fold_in(key, i), leaf.shape, leaf.dtype)
        if leaf.shape == shape
        else jnp.zeros_like(leaf)
        for i, (name, leaf) in enumerate(sorted(state.items()))
    }


def _follow(
    jaxpr: Jaxpr, marks: Sequence[Mark], found: Recurrence
) -> tuple[list[Mark], Recurrence]:
    """The marks of a program's results, and what of it was found to be recurrent."""
    known: dict[Any, Mark] = dict(zip(jaxpr.invars, marks, strict=True))

    def mark(value: Any) -> Mark:
        return Mark() if isinstance(value, Literal) else known.get(value, Mark())

    for equation in jaxpr.eqns:
        ins = [mark(value) for value in equation.invars]
        name = equation.primitive.name
        inner = _inner(equation.params)
        if name not in LOOPS and inner is not None and len(inner.invars) == len(ins):
            outs, found = _follow(inner, ins, found)
        else:
            merged = _merge(ins)
            outs = [merged] * len(equation.outvars)
            if name == "dot_general":
                found = found._replace(products=found.products | _met(ins))
            elif name == "mul":
                found = found._replace(factors=found.factors | _met(ins))
            elif name in LOOPS and merged.state:  # not looked into: any of them may be
                found = Recurrence(*(names | merged.names for names in found))
        known |= dict(zip(equation.outvars, outs, strict=True))
    return [mark(value) for value in jaxpr.outvars], found


def _merge(marks: Sequence[Mark]) -> Mark:
    return Mark(frozenset().union(*(m.names for m in marks)), any(m.state for m in marks))


def _met(marks: Sequence[Mark]) -> frozenset[str]:
    """Parameters on the one side of a product where the state is on the other."""
    if not any(m.state for m in marks):
        return frozenset()
    return frozenset().union(*(m.names for m in marks if not m.state))


def _inner(params: Mapping[str, Any]) -> Jaxpr | None:
    """The program that an equation calls, if it calls exactly one."""
    programs = [getattr(value, "jaxpr", value) for value in params.values()]
    programs = [program for program in programs if isinstance(program, Jaxpr)]
    return programs[0] if len(programs) == 1 else None
