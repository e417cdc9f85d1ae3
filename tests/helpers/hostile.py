"""Cells and tasks that keep the contract, of which tests change one thing at a time."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Batch, Key, Params, State
from rnnexp.tasks.base import Endless, Score, Task
from rnnexp.tasks.scores import over_steps

I, H, T, O = 3, 5, 6, 2  # noqa: E741


def init(key: Key) -> Params:
    return {"w": jax.random.normal(key, (I + H, H)), "b": jnp.zeros(H)}


def init_state(params: Params) -> State:
    return {"h": jnp.zeros_like(params["b"])}


def transition(params: Params, state: State, x_I: Array) -> State:
    return {"h": jnp.tanh(jnp.concatenate([x_I, state["h"]]) @ params["w"] + params["b"])}


def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
    return {"forget": jax.nn.sigmoid(transition(params, state, x_I)["h"])}


def cell(**changes: Any) -> Cell:
    """A tanh cell with changed fields."""
    sound = Cell(
        name="tanh",
        input_size=I,
        output_size=H,
        init=init,
        init_state=init_state,
        transition=transition,
        gates=gates,
        kept_fraction=lambda gates: gates["forget"],
        recurrent_matrices=lambda params: {"w": params["w"][I:]},
        parameter_count=(I + H + 1) * H,
    )
    return dataclasses.replace(sound, **changes)


def batch(batch_size: int, **changes: Any) -> Batch:
    """A batch of the task below, with changed fields."""
    x_TxBxI = jnp.zeros((T, batch_size, I))
    return Batch(x_TxBxI, jnp.zeros((T, batch_size, O)))._replace(**changes)


def draw(key: Key, batch_size: int) -> Batch:
    drawn: Batch = keyed(key, batch(batch_size))
    return drawn


def keyed(key: Key, batch: Any) -> Any:
    """A batch whose inputs depend on a key, if they are floats."""
    x = getattr(batch, "inputs_TxBxI", None)
    if x is None or not jnp.issubdtype(x.dtype, jnp.floating):
        return batch
    moved: Batch = batch._replace(inputs_TxBxI=x + jax.random.normal(key, x.shape, x.dtype))
    return moved


def scores(outputs_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    error_TxB = jnp.sum(jnp.square(outputs_TxBxO - batch.targets), -1)
    return {"loss": over_steps(error_TxB, batch.lengths_B)}


def task(**changes: Any) -> Task:
    """A synchronous task with changed fields; `source` changes all three sources."""
    source = changes.pop("source", Endless(draw))
    sound = Task(
        name="sums",
        mode="synchronous",
        input_size=I,
        output_size=O,
        num_steps=T,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline={"loss": 1.0},
        headline="loss",
        higher_is_better=False,
    )
    return dataclasses.replace(sound, **changes)
