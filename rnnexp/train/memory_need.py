"""Refuses what cannot fit into memory, before anything is drawn or compiled.

The counts are least ones: what they refuse cannot run, and what they let pass may still need
more. `rnnexp sweep --dry-run` tells a run's whole need.
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Tree
from rnnexp.runtime.memory_size import total_bytes
from rnnexp.tasks.base import Task

SLOTS = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimiser keeps for each weight."""


def require_room_for_batches(config: FrozenConfigDict, task: Task) -> None:
    """Raise `UsageError` if a batch, or the states that back-propagation keeps, cannot fit."""
    item = jnp.zeros((), float).dtype.itemsize
    steps, batch, hidden = task.num_steps, config.train.batch_size, config.cell.hidden_size
    kept = 1 if config.model.remat_steps else steps
    layers = config.model.num_layers
    _require(
        {
            f"the states of {kept:,} steps x {batch:,} sequences x {layers:,} layers x "
            f"{hidden:,} units": (
                kept * batch * layers * hidden * item,
                "config.cell.hidden_size, config.train.batch_size, config.model.num_layers or the "
                "task's length",
            ),
            f"a training batch of {steps:,} steps x {batch:,} sequences x {task.input_size:,} "
            "inputs": (
                steps * batch * task.input_size * item,
                "config.train.batch_size or the task's length",
            ),
        }
    )
    require_room_for_evaluation(config, task)


def require_room_for_evaluation(config: FrozenConfigDict, task: Task) -> None:
    """Raise `UsageError` if a batch to evaluate cannot fit."""
    size = task.num_steps * config.eval.batch_size * task.input_size
    what = (
        f"a batch to evaluate of {task.num_steps:,} steps x {config.eval.batch_size:,} sequences x "
        f"{task.input_size:,} inputs"
    )
    item = jnp.zeros((), float).dtype.itemsize
    _require({what: (size * item, "config.eval.batch_size or the task's length")})


def require_room_for_states(config: FrozenConfigDict, cell: Cell, task: Task) -> None:
    """Raise `UsageError` if the whole states of a layer, an external memory among them, or the
    Jacobians of Newton's iteration, cannot fit."""
    shapes = jax.eval_shape(lambda key: cell.init_state(cell.init(key)), jax.random.key(0))
    item = jnp.zeros((), float).dtype.itemsize
    size = sum(math.prod(leaf.shape) for leaf in shapes.values())
    steps, batch = task.num_steps, config.train.batch_size
    kept = 1 if config.model.remat_steps else steps
    needs = {
        f"the states of {kept:,} steps x {batch:,} sequences x {size:,} numbers of cell "
        f"{cell.name!r}": (
            kept * batch * size * item,
            "config.cell.hidden_size, another option of config.cell, config.train.batch_size or "
            "the task's length",
        )
    }
    if config.model.newton == "full":
        needs[
            f"the Jacobians of config.model.newton='full', {steps:,} steps x {batch:,} sequences x "
            f"{size:,} x {size:,},"
        ] = (
            steps * batch * size**2 * item,
            "config.cell.hidden_size, another option of config.cell, or config.model.newton='none'",
        )
    _require(needs)


def require_room_for_weights(config: FrozenConfigDict, weights: Tree) -> None:
    """Raise `UsageError` if weights of these shapes, with gradients and the optimiser's numbers,
    cannot fit."""
    leaves = jax.tree.leaves(weights)
    count = sum(math.prod(leaf.shape) for leaf in leaves)
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
    copies = 2 + SLOTS.get(config.optimizer.name, 0)
    what = f"{count:,} weights, their gradients and the numbers of {config.optimizer.name}"
    keys = "config.cell.hidden_size, config.model.num_layers or the cell's options"
    _require({what: (copies * size, keys)})


def _require(needs: Mapping[str, tuple[int, str]]) -> None:
    total = total_bytes()
    for what, (size, keys) in needs.items():
        if size > total:
            raise UsageError(
                f"{what} take {size / 2**30:,.1f} GiB, and there are {total / 2**30:,.1f} GiB of "
                f"memory: choose a smaller {keys}"
            )
