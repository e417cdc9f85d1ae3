"""The task and the model of a configuration, checked, and their initial weights."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.config.schema import options
from rnnexp.config.validate import require_fit
from rnnexp.config.validate_interventions import require_interventions
from rnnexp.core.seeds import seed_key
from rnnexp.core.types import Key, Tree
from rnnexp.models.heads import HEADS
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.sequence import MakeHead, SequenceModel
from rnnexp.models.stack import MakeCell
from rnnexp.models.start import Start, restart, started
from rnnexp.models.structure import Structure
from rnnexp.models.transduction import Transducer
from rnnexp.runtime.compilation_cache import quickly
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Task
from rnnexp.tasks.batches import example_context, fill_paddings
from rnnexp.train.abstract_call import Entry
from rnnexp.train.check_cell import check_cell, check_network
from rnnexp.train.check_head import check_head
from rnnexp.train.check_task import check_task
from rnnexp.train.choose_time_loop import time_loop_of
from rnnexp.train.memory_need import require_room_for_states, require_room_for_weights


def build_task(name: str, data_dir: Path | None = None, **keywords: Any) -> Task:
    """The task of that name with its options, checked; reads its data, if any.

    Whatever the task puts behind a sequence's end, its batches have finite padding.

    Raises `UsageError` for a bad option, or a task that does not keep the contract.
    """
    entry = TASKS.entry(name)
    factory = entry.factory()
    given = keywords | _accepted(factory, data_dir=data_dir)
    return fill_paddings(check_task(name, Entry("task", name).make(factory, **given), entry.modes))


def build_structure(config: FrozenConfigDict) -> Structure:
    """The structure that `config.model` describes, scanned; `UsageError` for a bad value."""
    values = config.model.to_dict()
    names = [field.name for field in dataclasses.fields(Structure) if field.name in values]
    chosen = {name: values[name] for name in names}
    return Structure(time_loop=time_loop_of(config), **chosen)


def build_start(config: FrozenConfigDict) -> Start:
    """The initial weights that `config.model` describes; `UsageError` for a bad value."""
    names = [field.name for field in dataclasses.fields(Start) if field.name != "weights"]
    chosen = {name: config.model[f"start_{name}"] for name in names}
    return Start(weights=config.model.start, **chosen)


def build_model(config: FrozenConfigDict, task: Task, key: Key) -> SequenceModel | Transducer:
    """The stack of cells, or encoder and decoder, of a configuration.

    Raises `UsageError` for a bad value, or a cell that does not keep the contract.
    """
    return _model(config, task, cell_maker(config, task), key)


def _model(
    config: FrozenConfigDict, task: Task, make_cell: MakeCell, key: Key
) -> SequenceModel | Transducer:
    structure = build_structure(config)
    first = make_cell(task.input_size, 0)
    require_fit(config, structure, first, task)
    if structure.embedding_size:
        first = make_cell(structure.embedding_size, 0)
    require_interventions(config, structure, first)
    require_room_for_states(config, first, task)
    sizes = {"input_size": task.input_size, "output_size": task.output_size}
    model: SequenceModel | Transducer
    if task.mode == "asynchronous":
        model = Transducer(make_cell, structure=structure, key=key, **sizes)
    else:
        model = SequenceModel(
            make_cell,
            structure=structure,
            mode=task.mode,
            key=key,
            make_head=head_maker(config),
            **sizes,
        )
    restart(model, build_start(config), key)
    return model


def head_maker(config: FrozenConfigDict) -> MakeHead:
    """The maker of a configuration's head."""
    factory, keywords = HEADS.entry(config.head.name).factory(), options(config, "head")

    def make_head(feature_size: int, output_size: int, key: Key, top: Recurrent) -> Any:
        given = keywords | _accepted(factory, top=top)
        return factory(feature_size, output_size, key, **given)

    return make_head


def cell_maker(config: FrozenConfigDict, task: Task) -> MakeCell:
    """`(input_size, layer) -> Cell` of a configuration, each made and checked once."""
    name = config.cell.name
    factory = CELLS.entry(name).factory()
    of_task = {"output_size": task.output_size, "task_mode": task.mode}
    keywords = options(config, "cell") | _accepted(factory, **of_task)
    if "example_context" in inspect.signature(factory).parameters:
        keywords["example_context"] = example_context(task.train)

    @cache
    def make_cell(input_size: int, layer: int) -> Cell:
        given = keywords | _accepted(factory, layer=layer)
        sizes = (input_size, config.cell.hidden_size)
        # models are built inside jit, and the arrays that a cell closes over must outlive it
        with jax.ensure_compile_time_eval():
            made = Entry("cell", name).make(factory, *sizes, **given)
        reads = getattr(made, "context", None) is not None
        context = example_context(task.train) if reads else None
        built = check_cell(name, made, input_size, context)
        check_network(name, built, task.name, task.output_size)
        return started(built, build_start(config))

    return make_cell


def weights(config: FrozenConfigDict, task: Task) -> tuple[Any, Callable[[Key], Tree]]:
    """The model's static part, and the function that draws all its weights from a key.

    That function runs once, so it is compiled with few optimisations; the weights are the same,
    bit for bit. Raises `UsageError` if they cannot fit into memory.
    """
    build = partial(_model, config, task, cell_maker(config, task))
    model = nnx.eval_shape(build, jax.random.key(0))
    if task.baseline:  # of a run's record, without data: its head was checked when it was made
        check_head(config.head.name, model, task)
    require_room_for_weights(config, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    graphdef = nnx.graphdef(model)

    def draw(key: Key) -> Tree:
        return nnx.to_pure_dict(nnx.state(build(key), nnx.Param))

    return graphdef, jax.jit(draw, compiler_options=quickly())


def weights_key(seed: int) -> Key:
    """The key of the initial weights: stream 0 of the run's."""
    return jax.random.fold_in(seed_key(seed), 0)


def _accepted(factory: Callable[..., Any], **values: Any) -> dict[str, Any]:
    """Those of the values that a factory has a keyword for."""
    parameters = inspect.signature(factory).parameters
    return {name: value for name, value in values.items() if name in parameters}
