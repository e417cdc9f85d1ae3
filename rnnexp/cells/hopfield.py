"""Hopfield networks: a damaged cue becomes a stored pattern, update by update.

The stored patterns X (M patterns of N numbers) and the cue are the context of an example; the
state s starts as the cue, and a step of the cell is one update. With m_u = x_u . s, o_u the same
without unit i, and sums over the patterns u:

| kind | update | energy |
| --- | --- | --- |
| classical | s_i <- sgn((W s)_i), W = X^T X / N with a zero diagonal | -1/2 s^T W s |
| continuous | s <- tanh(beta W s) | that + sum_i of the integral of artanh, over beta |
| polynomial | s_i <- sgn(sum of (o_u + x_ui)^n - (o_u - x_ui)^n) | -sum of (m_u / N)^n |
| exponential | the same with exp in place of the power | -ln of the sum of exp m_u |
| modern | s <- X^T softmax(beta X s) | -ln of the sum of exp(beta m_u), over beta, + s^T s / 2 |

Hopfield 1982 (classical, asynchronous: one unit after the other) and 1984 (continuous); Krotov &
Hopfield 2016, "Dense associative memory for pattern recognition" (polynomial); Demircigil et al.
2017, "On a model of associative memory with huge storage capacity" (exponential); Ramsauer et al.
2020, "Hopfield networks is all you need" (modern). A unit whose field is exactly 0 keeps its
value. The classical network is the polynomial one with n = 2.

A sign has no slope: the binary kinds learn nothing, and every adjoint before their last update
is 0. The continuous kind learns a threshold of every unit and beta; the modern one beta and, with
`metric="learned"`, the projections of state and patterns whose products it compares.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, Cell, no_matrices
from rnnexp.cells.initializers import orthogonal
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Key, Params, State, Tree

KINDS = ("modern", "classical", "continuous", "polynomial", "exponential")
BINARY = ("classical", "polynomial", "exponential")
NOTE = "a sign has no slope: {} units learn nothing, and no gradient passes an update"
Field = Callable[[Array, Array], Array]
"""`(x_M, others_M) -> ()`: what drives a unit, from its values in the patterns and the patterns'
products with all other units."""


def hopfield(
    input_size: int,
    hidden_size: int,
    *,
    kind: str = "modern",
    updates: int = 10,
    order: str = "synchronous",
    beta: float = 0.0,
    power: int = 3,
    metric: str = "identity",
) -> Cell:
    """A Hopfield network of `input_size` units.

    `hidden_size` is the size of the projections of a learned metric; nothing else depends on it.

    Args:
      kind: modern, classical, continuous, polynomial or exponential.
      updates: steps from the cue to the answer.
      order: synchronous (all units at once) or, of binary kinds, asynchronous (one after the
        other, all of them in a step).
      beta: initial inverse temperature of modern and continuous. 0: 1 / sqrt(N) for modern, 4 for
        continuous.
      power: n of the polynomial kind, 2 or more.
      metric: identity or, of modern, learned: patterns and state are compared after projections
        that start as one and the same orthonormal one.

    Raises `UsageError` for a bad option, or one that the kind does not have.
    """
    _check(kind, updates, order, beta, power, metric)
    size, learned = input_size, metric == "learned"
    first_beta = beta or (4.0 if kind == "continuous" else 1 / math.sqrt(size))

    def init(key: Key) -> Params:
        params: dict[str, Array] = {}
        if kind != "modern":
            params["b"] = jnp.zeros(size)
        if kind not in BINARY:
            params["log_beta"] = jnp.full((), math.log(first_beta), float)
        if learned:
            params["w_query"] = params["w_key"] = orthogonal(key, (size, hidden_size))
        return params

    def init_state(params: Params) -> State:
        return {"s": jnp.zeros(size, next(iter(params.values())).dtype)}

    def context(params: Params, of_example: Tree) -> dict[str, Array]:
        x_MxN, cue_N = of_example["patterns"], of_example["cue"]
        if kind != "modern":
            return {"patterns": x_MxN, "cue": cue_N}
        keys = x_MxN @ params["w_key"] if learned else x_MxN
        return {"patterns": x_MxN, "cue": cue_N, "keys": keys}

    def transition(params: Params, state: State, x_I: Array) -> State:
        del x_I
        s_N, x_MxN = state["s"], params[CONTEXT]["patterns"]
        if kind == "modern":
            query = s_N @ params["w_query"] if learned else s_N
            weights_M = jax.nn.softmax(
                jnp.exp(params["log_beta"]) * params[CONTEXT]["keys"] @ query
            )
            return {"s": weights_M @ x_MxN}
        if kind == "continuous":
            field_N = hebbian_field(x_MxN, s_N) + params["b"]
            return {"s": jnp.tanh(jnp.exp(params["log_beta"]) * field_N)}
        sweep = one_by_one if order == "asynchronous" else all_at_once
        return {"s": sweep(field_of(kind, size, power), x_MxN, s_N, params["b"])}

    return Cell(
        name="hopfield",
        input_size=size,
        output_size=size,
        init=init,
        init_state=init_state,
        transition=transition,
        output=lambda params, state, x_I: state["s"],
        recurrent_matrices=no_matrices,  # the patterns are the weights
        parameter_count=size * (kind != "modern")
        + (kind not in BINARY)
        + 2 * size * hidden_size * learned,
        hidden="s",
        probed=("s",),
        is_network=True,
        axis="update",
        steps=updates,
        context=context,
        start=lambda params: {"s": params[CONTEXT]["cue"]},
        note=NOTE.format(kind) if kind in BINARY else "",
    )


def hebbian_field(x_MxN: Array, s_N: Array) -> Array:
    """W s, (N,), for W = X^T X / N with a zero diagonal, which is never formed."""
    own_N = jnp.sum(x_MxN * x_MxN, 0) * s_N
    return ((x_MxN @ s_N) @ x_MxN - own_N) / s_N.size


def field_of(kind: str, size: int, power: int = 3) -> Field:
    """What drives a unit of a binary kind with `size` units; its sign is the unit's new value."""
    if kind == "exponential":
        return lambda x_M, others_M: (
            jax.nn.logsumexp(others_M + x_M) - jax.nn.logsumexp(others_M - x_M)
        )
    if kind == "classical":
        return lambda x_M, others_M: x_M @ others_M
    # powers of numbers up to 1 do not overflow, and the common factor changes no sign
    return lambda x_M, others_M: jnp.sum(
        ((others_M + x_M) / size) ** power - ((others_M - x_M) / size) ** power
    )


def all_at_once(field: Field, x_MxN: Array, s_N: Array, b_N: Array) -> Array:
    """The new state of all units, each from the old state of the others."""
    others_MxN = (x_MxN @ s_N)[:, None] - x_MxN * s_N[None]
    return _signs(jax.vmap(field, in_axes=(1, 1))(x_MxN, others_MxN) + b_N, s_N)


def one_by_one(field: Field, x_MxN: Array, s_N: Array, b_N: Array) -> Array:
    """The new state of all units, one after the other: each sees the new state of those before."""

    def update(products_M: Array, unit: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        x_M, old, b = unit
        new = _signs(field(x_M, products_M - x_M * old) + b, old)
        return products_M + x_M * (new - old), new

    new_N: Array = jax.lax.scan(update, x_MxN @ s_N, (x_MxN.T, s_N, b_N))[1]
    return new_N


def _signs(field: Array, old: Array) -> Array:
    """1 or -1, and the old value where the field is 0."""
    return jnp.where(field == 0, old, jnp.sign(field))


def energy(
    kind: str, x_MxN: Array, s_N: Array, *, beta: Array | float = 1.0, power: int = 3
) -> Array:
    """The energy of a state, as in the module's table, for thresholds of 0; up to a constant.

    Asynchronous updates of binary kinds (of the polynomial one with an even power, or overlaps
    that are not negative) and updates of the modern kind never raise it.
    """
    products_M = x_MxN @ s_N
    if kind == "modern":
        return -jax.nn.logsumexp(beta * products_M) / beta + s_N @ s_N / 2
    if kind == "exponential":
        return -jax.nn.logsumexp(products_M)
    if kind == "polynomial":
        return -jnp.sum((products_M / s_N.size) ** power)
    hebbian = -s_N @ hebbian_field(x_MxN, s_N) / 2
    if kind == "classical":
        return hebbian
    # the integral of artanh from 0 to s
    inside_N = s_N * jnp.arctanh(s_N) + jnp.log1p(-s_N * s_N) / 2
    return hebbian + jnp.sum(inside_N) / beta


def synchronous_energy(x_MxN: Array, new_N: Array, old_N: Array) -> Array:
    """-s(t)^T W s(t-1), which synchronous updates of the classical kind never raise.

    So they end in a fixed point or a cycle of two states (Peretto 1984; Goles & Olivos 1981).
    """
    return -new_N @ hebbian_field(x_MxN, old_N)


def _check(kind: str, updates: int, order: str, beta: float, power: int, metric: str) -> None:
    """Raise `UsageError` for a bad option, or one that the kind does not have."""
    require_choice("kind", kind, KINDS)
    require_choice("order", order, ("synchronous", "asynchronous"))
    require_choice("metric", metric, ("identity", "learned"))
    require_at_least(1, updates=updates)
    if not 0 <= beta < math.inf:
        raise UsageError(f"beta must be positive, or 0 for the kind's own, not {beta}")
    require_at_least(2, power=power)
    if order == "asynchronous" and kind not in BINARY:
        raise UsageError(
            f"order='asynchronous' goes with binary units ({', '.join(BINARY)}); the units of "
            f"kind={kind!r} are real numbers, and all change at once"
        )
    if metric == "learned" and kind != "modern":
        raise UsageError(f"metric='learned' goes with kind='modern', not {kind!r}")
