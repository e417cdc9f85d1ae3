"""Contexts for cells that read one, and such a cell bound to a context, as an ordinary cell."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.cells import CELLS
from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.core.registry import GRAPH_MODES
from rnnexp.core.types import Array, Key, Params, State, Tree

M = 3  # stored patterns, sentences
J = 3  # words of a sentence


def contexts(name: str, key: Key, batch_size: int, input_size: int) -> Tree:
    """Contexts of a batch, (B, ...), for the cell of that name, by its mode."""
    key_patterns, key_cue = jax.random.split(key)
    mode = CELLS.entry(name).modes[0]
    if mode == "cue_to_pattern":
        return {
            "patterns": jax.random.normal(key_patterns, (batch_size, M, input_size)),
            "cue": jax.random.normal(key_cue, (batch_size, input_size)),
        }
    if mode == "story_to_answer":
        words = jax.random.randint(
            key_patterns, (batch_size, M + 1, J), 1, input_size, dtype=jnp.int32
        )
        short = jnp.asarray([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], jnp.int32)  # a filling
        ages = jnp.asarray([3, 1, 0, 0], jnp.int32)
        return {
            "story": words * short[None],
            "question": words[:, -1] * short[1][None],
            "time": jnp.broadcast_to(ages, (batch_size, M + 1)),
        }
    if mode == "density":
        pattern = jax.random.bernoulli(key_patterns, 0.5, (batch_size, input_size)).astype(float)
        seeds = jax.random.key_data(jax.random.split(key_cue, batch_size))
        return {"pattern": pattern, "seed": seeds}
    if mode in GRAPH_MODES:
        return graphs(key, batch_size, input_size)
    raise NotImplementedError(mode)


def graphs(key: Key, batch_size: int, input_size: int) -> Tree:
    """Graphs of three nodes, a fourth and the last edge being padding, with two types of edges."""
    there = jnp.asarray([1.0, 1.0, 1.0, 0.0])
    edges = jnp.asarray([[0, 1, 0], [2, 1, 1], [1, 2, 1], [0, 0, -1]], jnp.int32)
    annotations = jax.random.normal(key, (batch_size, 4, input_size)) * there[None, :, None]
    one = {
        "nodes": there,
        "senders": edges[:, 0],
        "receivers": edges[:, 1],
        "types": jax.nn.one_hot(edges[:, 2], 2, dtype=float),
    }
    spread = {name: jnp.broadcast_to(x, (batch_size, *x.shape)) for name, x in one.items()}
    return {"annotations": annotations, **spread}


def bound(cell: Cell, context: Tree) -> Cell:
    """A cell that reads a context, with that of one example in all of its functions.

    It is an ordinary cell, with as many steps as it gets inputs, and every test of a cell fits it.
    """
    of_context = cell.context
    assert of_context is not None

    def whole(params: Params) -> Params:
        return {**params, CONTEXT: of_context(params, context)}

    def within(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(params: Params, state: State, x_I: Array) -> Any:
            return function(whole(params), state, x_I)

        return call

    def init_state(params: Params) -> State:
        return cell.init_state(params) if cell.start is None else cell.start(whole(params))

    return dataclasses.replace(
        cell, context=None, start=None, steps=0, init_state=init_state,
        transition=within(cell.transition), output=within(cell.output), gates=within(cell.gates),
    )  # fmt: skip


def some_context(name: str, input_size: int) -> Tree:
    """The context of one example, always the same."""
    return jax.tree.map(
        lambda leaf: jnp.asarray(leaf[0]), contexts(name, jax.random.key(7), 1, input_size)
    )
