"""Splits a step `(params, carry, x) -> (carry, y)` into a transition and an output.

A Flax cell computes its new carry and its output y in one call, and a cell of this project in
two, between which a probe acts on the state. So y must be a function of the new carry, or the
path from the carry through the output is missing in dL/dh_t. The call is traced, and its
operations are divided at the new carry:

* what y takes from the new carry, the parameters and x alone is computed by the output;
* what it takes from the old carry otherwise, such as a gate, is computed by the transition and
  kept beside the new carry for the output.

The two together are the call, whatever it is; so are their derivatives. Calls of compiled
functions are opened. Loops are not: what a loop gives is computed where the loop is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from rnnexp.core.types import Array, Tree

Call = Callable[[Tree, Tree, Array], tuple[Tree, Array]]
"""`(params, carry, x) -> (carry, y)`."""
Environment = dict[Any, Any]
"""The values of a program's variables."""
CALLS = ("jit", "pjit", "closed_call", "checkpoint", "remat2")
"""Operations that only call another program."""


class Program(NamedTuple):
    """The operations of a step without calls, its constants, and its variables.

    Attributes:
      params, old, x: the variables of the arguments.
      new, y: those of the results.
      kept: those that the transition keeps for the output.
      of_output: the operations of the output.
      same: the leaves of the new carry that y is.
    """

    jaxpr: Jaxpr
    consts: Sequence[Any]
    params: Sequence[Any]
    old: Sequence[Any]
    x: Any
    new: Sequence[Any]
    y: Any
    kept: Sequence[Any]
    of_output: Sequence[JaxprEqn]
    same: Sequence[int]

    def step(self, params: Tree, carry: Tree, x_I: Array) -> tuple[list[Array], list[Array]]:
        """The leaves of the new carry, and what is kept for the output."""
        values = self._given(params, x_I) | dict(zip(self.old, jax.tree.leaves(carry), strict=True))
        _run(self.jaxpr.eqns, values)
        new, kept = _read(values, self.new), _read(values, self.kept)
        return new, kept

    def output(
        self, params: Tree, new: Sequence[Array], kept: Sequence[Array], x_I: Array
    ) -> Array:
        """y, from the leaves of the new carry and what was kept."""
        values = self._given(params, x_I) | dict(zip(self.kept, kept, strict=True))
        for variable, value in zip(self.new, new, strict=True):
            if not isinstance(variable, Literal):
                values.setdefault(variable, value)
        _run(self.of_output, values)
        y: Array = _read(values, [self.y])[0]
        return y

    def _given(self, params: Tree, x_I: Array) -> Environment:
        values = dict(zip(self.jaxpr.constvars, self.consts, strict=True))
        return {
            **values,
            **dict(zip(self.params, jax.tree.leaves(params), strict=True)),
            self.x: x_I,
        }


def split_step(call: Call, params: Tree, carry: Tree, x_I: Any) -> Program:
    """The program of a call, for arguments of these shapes and types."""
    leaves, structure = jax.tree.flatten((params, carry, x_I))
    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]

    def flat_call(*leaves: Array) -> list[Array]:
        return jax.tree.leaves(call(*jax.tree.unflatten(structure, leaves)))

    called = jax.make_jaxpr(flat_call)(*shapes)

    def opened(*leaves: Array) -> list[Array]:
        values = dict(zip(called.jaxpr.constvars, called.consts, strict=True))
        values |= dict(zip(called.jaxpr.invars, leaves, strict=True))
        _run(called.jaxpr.eqns, values)
        return _read(values, called.jaxpr.outvars)

    jaxpr, consts = (traced := jax.make_jaxpr(opened)(*shapes)).jaxpr, traced.consts
    first, last = len(jax.tree.leaves(params)), len(shapes) - 1
    old = jaxpr.invars[first:last]
    *new, y = jaxpr.outvars
    # a leaf that a step does not change has no operation to be divided at
    cut = {v for v in new if not isinstance(v, Literal)} - {*jaxpr.invars}
    kept, of_output = _divide(jaxpr.eqns, y, {*old}, cut)
    return Program(
        jaxpr, consts, jaxpr.invars[:first], old, jaxpr.invars[last], new, y, kept, of_output,
        [n for n, leaf in enumerate(new) if leaf is y and leaf in cut],
    )  # fmt: skip


def _divide(
    eqns: Sequence[JaxprEqn], y: Any, old: set[Any], cut: set[Any]
) -> tuple[list[Any], list[JaxprEqn]]:
    """The variables that the output is given beside the new carry, and its operations."""
    from_old, from_new = set(old), set(cut)
    maker: dict[Any, JaxprEqn] = {}
    for eqn in eqns:
        inputs = {v for v in eqn.invars if not isinstance(v, Literal)}
        maker |= dict.fromkeys(eqn.outvars, eqn)
        made = {*eqn.outvars} - cut
        if inputs & from_new:
            from_new |= made
        if (inputs - cut) & from_old:
            from_old |= made
    kept: dict[Any, None] = {}
    chosen: set[int] = set()
    waiting, seen = [y], set()
    while waiting:
        variable = waiting.pop()
        if isinstance(variable, Literal) or variable in cut or variable in seen:
            continue
        seen.add(variable)
        if variable in from_old and variable not in from_new:
            kept[variable] = None
        elif variable in maker:
            chosen.add(id(maker[variable]))
            waiting += maker[variable].invars
    return [*kept], [eqn for eqn in eqns if id(eqn) in chosen]


def _run(eqns: Iterable[JaxprEqn], values: Environment) -> None:
    """Run operations, with their results among the values. Calls are opened."""
    for eqn in eqns:
        given = _read(values, eqn.invars)
        if eqn.primitive.name in CALLS:
            called = eqn.params["jaxpr" if "jaxpr" in eqn.params else "call_jaxpr"]
            inner: Jaxpr = getattr(called, "jaxpr", called)
            inside = dict(zip(inner.constvars, getattr(called, "consts", ()), strict=True))
            inside |= dict(zip(inner.invars, given, strict=True))
            _run(inner.eqns, inside)
            results = _read(inside, inner.outvars)
        else:
            results = eqn.primitive.bind(*given, **eqn.primitive.get_bind_params(eqn.params))
            results = results if eqn.primitive.multiple_results else [results]
        # an operation of the output may make a variable that is given to it, as probed
        for variable, result in zip(eqn.outvars, results, strict=True):
            values.setdefault(variable, result)


def _read(values: Environment, variables: Sequence[Any]) -> list[Any]:
    return [v.val if isinstance(v, Literal) else values[v] for v in variables]
