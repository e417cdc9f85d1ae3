"""Which parameters of a cell are recurrent, derived from its transition.

A parameter is recurrent if the transition multiplies a function of the state by a function of
the parameter alone (or of it and the input): W_h in W_h h_{t-1}, u in u * h_{t-1}, lambda of a
diagonal recurrence. The Jacobian of a step consists of them. Input kernels and biases, which
only change the point of linearisation, are not recurrent.

* `find_recurrence`: the *names* of all recurrent parameters, by one trace of the transition.
* `recurrent_blocks`: the *square blocks* of those that multiply a whole leaf of the state.
* `hidden_rows`: the *rows* of matrices that multiply the hidden state, also of a kernel for
  inputs and hidden state joined into one vector, by the derivative of a step. It is the
  fallback for `Cell.recurrent_matrices`.
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
    """The origin of a value: parameters by name, and whether the state."""

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
    """The recurrent parameters of a cell, by name, among the trained ones.

    Args:
      prepared: among the results of `cell.prepare`, such as a matrix exponential, instead.
    """
    params = jax.eval_shape(cell.init, jax.random.key(0))
    state = jax.eval_shape(cell.init_state, params)
    if prepared:
        params = jax.eval_shape(cell.prepare, params)
    x_I = jax.ShapeDtypeStruct((cell.input_size,), jax.dtypes.canonicalize_dtype(float))
    marks = [Mark(frozenset([name])) for name in named_leaves(params)]
    marks += [Mark(state=True) for _ in jax.tree.leaves(state)] + [Mark()]
    traced = jax.make_jaxpr(cell.transition)(params, state, x_I)
    return _follow(traced.jaxpr, marks, Recurrence(frozenset(), frozenset()))[1]


def recurrent_blocks(cell: Cell, params: Params) -> dict[str, Array]:
    """The square blocks (N, H, H) of every recurrent kernel, by its parameter's name.

    A kernel is a prepared matrix that multiplies a vector of the state's size H; gates side
    by side, (H, N * H), are N blocks. Empty where a cell has none.
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
    """The rows of each 2-D prepared parameter that multiply the hidden state, by its name.

    Only parameters in which as many rows as hidden units multiply it, or a leaf of its shape,
    and whose columns are a multiple of that number.

    The derivative by a row is zero where its factor is zero. So at x = 0 and a state of zeros
    but for the hidden leaf and those of its shape, only rows that multiply these have a
    non-zero derivative. Parameters are random, so that none is zero.
    """
    with jax.ensure_compile_time_eval():
        by_name: Params = jax.jit(lambda key: _hidden_slopes(cell, key))(jax.random.key(0))
    size = int(jax.eval_shape(cell.init_state, by_name)[cell.hidden].size)
    rows_of = {}
    for name, slope in by_name.items():
        if slope.ndim != 2 or slope.shape[1] % size:
            continue
        rows = np.flatnonzero(np.any(np.asarray(slope) != 0, axis=1))
        if len(rows) == size:
            rows_of[name] = rows
    return rows_of


def _hidden_slopes(cell: Cell, key: Key) -> Params:
    """The derivative, by the prepared parameters, of a step from a hidden state alone."""
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
    """A state of zeros, except random leaves of the hidden one's shape."""
    state = cell.init_state(params)
    shape = state[cell.hidden].shape
    return {
        name: jax.random.normal(jax.random.fold_in(key, i), leaf.shape, leaf.dtype)
        if leaf.shape == shape
        else jnp.zeros_like(leaf)
        for i, (name, leaf) in enumerate(sorted(state.items()))
    }


def _follow(
    jaxpr: Jaxpr, marks: Sequence[Mark], recurrence: Recurrence
) -> tuple[list[Mark], Recurrence]:
    """The marks of a program's results, and `recurrence` with its recurrent parameters added."""
    known: dict[Any, Mark] = dict(zip(jaxpr.invars, marks, strict=True))

    def mark(value: Any) -> Mark:
        return Mark() if isinstance(value, Literal) else known.get(value, Mark())

    for equation in jaxpr.eqns:
        ins = [mark(value) for value in equation.invars]
        name = equation.primitive.name
        inner = _inner(equation.params)
        if name not in LOOPS and inner is not None and len(inner.invars) == len(ins):
            outs, recurrence = _follow(inner, ins, recurrence)
        else:
            merged = _merge(ins)
            outs = [merged] * len(equation.outvars)
            if name == "dot_general":
                recurrence = recurrence._replace(products=recurrence.products | _met(ins))
            elif name == "mul":
                recurrence = recurrence._replace(factors=recurrence.factors | _met(ins))
            elif name in LOOPS and merged.state:  # the body is not traced: any of them may be
                recurrence = Recurrence(*(names | merged.names for names in recurrence))
        known |= dict(zip(equation.outvars, outs, strict=True))
    return [mark(value) for value in jaxpr.outvars], recurrence


def _merge(marks: Sequence[Mark]) -> Mark:
    return Mark(frozenset().union(*(m.names for m in marks)), any(m.state for m in marks))


def _met(marks: Sequence[Mark]) -> frozenset[str]:
    """Parameters on one side of a product whose other side depends on the state."""
    if not any(m.state for m in marks):
        return frozenset()
    return frozenset().union(*(m.names for m in marks if not m.state))


def _inner(params: Mapping[str, Any]) -> Jaxpr | None:
    """The program that an equation calls; None unless it is exactly one."""
    programs = [getattr(value, "jaxpr", value) for value in params.values()]
    programs = [program for program in programs if isinstance(program, Jaxpr)]
    return programs[0] if len(programs) == 1 else None
