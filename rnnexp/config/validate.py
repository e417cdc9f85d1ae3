"""Checks that a configuration's options fit its cell and its task."""

import importlib.util
from collections.abc import Iterable

from ml_collections import ConfigDict, FrozenConfigDict

from rnnexp.cells.base import Cell
from rnnexp.config.schema import flat
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.registry import STEPWISE, TO_ONE
from rnnexp.models.structure import Structure
from rnnexp.scan.newton.solve import MOST_ITERATIONS
from rnnexp.tasks.base import Stream, Task

SINGLE_STEPS = ("model.cut_steps", "model.recurrent_dropout", "model.zoneout", "clip.adjoint_limit")
"""Keys that, unless 0, act at every step, which a single call for all steps cannot do."""


def first_set(config: FrozenConfigDict, keys: Iterable[str]) -> str | None:
    """The first of these keys that is neither 0 nor False."""
    return next((key for key in keys if flat(config)[key]), None)


def require_log(config: FrozenConfigDict | ConfigDict) -> None:
    """Raise `UsageError` if a run is to be logged by a package that is not installed.

    Only what trains asks for this: a run can be read and analysed without the package.
    """
    if config.log.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "config.log.tensorboard needs the package tensorboard: "
            "pip install 'rnnexp[tensorboard]', or leave it at false"
        )


def require_fit(config: FrozenConfigDict, structure: Structure, cell: Cell, task: Task) -> None:
    """Raise `UsageError` for an option that this cell or task cannot have."""
    if structure.time_loop.associative and cell.states is None:
        raise UsageError(
            f"config.model.associative: the recurrence of {cell.name} is not linear in its state; "
            "lru, min_gru and min_lstm have that path"
        )
    _require_own_axis(config, structure, cell)
    _require_head(config, cell, task)
    _require_tied_head(config, structure)
    _require_embedding(config, cell, task)
    if cell.delay_steps >= task.num_steps:
        raise UsageError(
            f"the delay line of {cell.name} ({cell.delay_steps} steps) is not shorter than the "
            f"sequences of {task.name} ({task.num_steps} steps)"
        )
    if structure.bidirectional and isinstance(task.train, Stream):
        raise UsageError(
            f"config.model.bidirectional: {task.name} reads one long stream, which has no end "
            "to begin from"
        )
    if structure.bidirectional:
        _require_no_leak(cell, task)
    if structure.pooling != "last" and task.mode not in TO_ONE:
        raise UsageError(f"config.model.pooling: {task.name} is {task.mode}, nothing is pooled")
    if structure.attention != "none" and task.mode != "asynchronous":
        raise UsageError(f"config.model.attention: {task.name} is {task.mode}, it has no decoder")
    _require_newton(config, cell, task)


def _require_own_axis(config: FrozenConfigDict, structure: Structure, cell: Cell) -> None:
    """Raise `UsageError` for options that a cell with steps or a context of its own cannot have."""
    if cell.steps and (structure.num_layers > 1 or structure.bidirectional):
        key = "bidirectional" if structure.bidirectional else "num_layers"
        raise UsageError(
            f"config.model.{key}: the steps of {cell.name} lie along an axis of its own "
            f"({cell.axis}), on which a second cell has nothing to read"
        )
    if cell.start is not None and structure.learned_state:
        raise UsageError(
            f"config.model.learned_state: the initial state of {cell.name} comes from the "
            "example's context; set config.model.learned_state=false"
        )
    penalties = ("regularizer.omega", "regularizer.orthogonality", "regularizer.flossing")
    if cell.context is not None and (penalty := first_set(config, penalties)) is not None:
        raise UsageError(
            f"config.{penalty}: {cell.name} reads a context, through which this penalty's "
            f"gradient is not followed; set config.{penalty}=0"
        )


def _require_head(config: FrozenConfigDict, cell: Cell, task: Task) -> None:
    """Raise `UsageError` for a head where there is no place for one."""
    name = config.head.name
    if name != "linear" and cell.is_network:
        raise UsageError(
            f"config.head.name: {cell.name} is a whole network without a head; leave it at 'linear'"
        )
    if name != "linear" and task.mode == "asynchronous":
        raise UsageError(
            f"config.head.name: {task.name} is asynchronous, and its decoder writes symbols by a "
            "linear readout; leave it at 'linear'"
        )


def _require_tied_head(config: FrozenConfigDict, structure: Structure) -> None:
    """Raise `UsageError` for a tied RBM head whose features are not a sigmoid cell's states."""
    if config.head.name != "rbm" or not config.head.tied or config.cell.name != "rnn":
        return  # of another cell the head itself says that it cannot be tied to it
    if config.cell.activation != "sigmoid":
        raise UsageError(
            "config.head.tied makes the cell's states the means of hidden bits; set "
            f"config.cell.activation=sigmoid, not {config.cell.activation}"
        )
    for key in ("bidirectional", "residual", "layer_norm"):
        if getattr(structure, key):
            raise UsageError(
                f"config.model.{key}: with config.head.tied the head reads the states of one layer "
                f"as they are; set config.model.{key}=false"
            )


def _require_embedding(config: FrozenConfigDict, cell: Cell, task: Task) -> None:
    """Raise `UsageError` for an embedding, or a tied output, that has no place."""
    model, where = config.model, "config.model.embedding_size"
    if model.embedding_size and cell.steps:
        raise UsageError(
            f"{where}: {cell.name} reads no input on its steps ({cell.axis}); leave it at 0"
        )
    if not model.tied_output:
        return
    tied = "config.model.tied_output"
    if not model.embedding_size:
        raise UsageError(f"{tied}: there is no embedding to share; set {where}")
    if task.mode == "asynchronous":
        raise UsageError(
            f"{tied}: {task.name} is asynchronous, and its decoder has a readout of its own; "
            f"set {tied}=false"
        )
    if cell.is_network or config.head.name != "linear":
        other = f"{cell.name} is a whole network" if cell.is_network else "the head is another"
        raise UsageError(f"{tied}: it is the matrix of the linear head, and {other}")
    if task.input_size != task.output_size:
        raise UsageError(
            f"{tied}: {task.name} reads {task.input_size} symbols and predicts "
            f"{task.output_size}; they must be the same"
        )


def _require_no_leak(cell: Cell, task: Task) -> None:
    """Raise `UsageError` if a direction that reads backwards would be shown the targets."""
    if task.mode in STEPWISE and task.causal is None:
        raise UsageError(
            f"config.model.bidirectional: {task.name} does not say whether its later inputs show "
            "a step's target; give its Task causal=False if they do not, or causal=True, which "
            "allows no second direction"
        )
    if task.mode in STEPWISE and task.causal:
        raise UsageError(
            f"config.model.bidirectional: the later inputs of {task.name} show a step's target, "
            "and a direction that reads backwards would only copy it; set "
            "config.model.bidirectional=false"
        )
    if cell.feedback is not None and task.teacher is not None:
        raise UsageError(
            f"config.model.bidirectional: {task.name} shows {cell.name} the true outputs step by "
            "step, and a direction that reads backwards would see those to come; set "
            "config.model.bidirectional=false"
        )


def _require_newton(config: FrozenConfigDict, cell: Cell, task: Task) -> None:
    """Raise `UsageError` for an unknown `config.model.newton`, or options that exclude it."""
    require_choice("config.model.newton", config.model.newton, ("none", *MOST_ITERATIONS))
    if config.model.newton == "none":
        return
    if (key := first_set(config, ("model.remat_steps", *SINGLE_STEPS))) is not None:
        raise UsageError(
            f"config.model.newton computes all steps at once, and config.{key} needs them one "
            "after the other; set config.model.newton='none' or leave that out"
        )
    if config.model.associative or config.model.kernel == "compiled":
        other = "associative" if config.model.associative else "kernel='compiled'"
        raise UsageError(
            f"config.model.newton and config.model.{other} are two ways through the same time "
            "axis; set one of them"
        )
    if cell.feedback is not None and task.teacher is not None:
        raise UsageError(
            f"config.model.newton: {task.name} shows {cell.name} the true outputs step by step, "
            "and a parallel path has no place for that; set config.model.newton='none'"
        )
