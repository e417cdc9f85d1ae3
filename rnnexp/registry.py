"""Pairs cells with tasks: which fit, and the model, task and program of a configuration."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.config import duration_steps, options
from rnnexp.errors import UsageError, require_choice
from rnnexp.models.sequence import SequenceModel
from rnnexp.optim import CLIPS, OPTIMIZERS, SCHEDULES, Hyper, make_hyper, schedule
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Finite, Task, epoch_length
from rnnexp.train import Recipe
from rnnexp.types import Key, Tree

cell: Callable[..., Any] = CELLS.register
"""Decorator: `@rnnexp.cell("name")` adds a cell factory `(input_size, hidden_size, *, ...)`."""
task: Callable[..., Any] = TASKS.register
"""Decorator: `@rnnexp.task("name", modes=("synchronous",))` adds a task factory `(*, ...)`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A configuration turned into functions and numbers of steps."""

    config: FrozenConfigDict
    recipe: Recipe
    hyper: Hyper
    params: Tree
    total_steps: int
    eval_steps: int
    checkpoint_steps: int
    record_steps: int
    epoch_steps: int | None

    @property
    def left_out_examples(self) -> int:
        """Training examples of an epoch that do not fill a batch."""
        source = self.recipe.task.train
        return source.size % self.recipe.batch_size if isinstance(source, Finite) else 0


def pairs() -> list[tuple[str, str]]:
    """All experiments (task, cell) whose modes fit, in the order of the tables."""
    return [
        (t, c)
        for t in TASKS.names()
        for c in CELLS.names()
        if set(TASKS.entry(t).modes) <= set(CELLS.entry(c).modes)
    ]


def build_task(name: str, data_dir: Path | None = None, **keywords: Any) -> Task:
    """The task of that name with its options; reads its data, if it has any."""
    factory = TASKS.entry(name).factory()
    if "data_dir" in inspect.signature(factory).parameters:
        keywords["data_dir"] = data_dir
    built: Task = factory(**keywords)
    return built


def build_model(config: FrozenConfigDict, task: Task, key: Key) -> SequenceModel:
    """The stack of cells and the readout that a configuration describes."""
    factory = CELLS.entry(config.cell.name).factory()
    keywords = options(config, "cell")

    def make_cell(input_size: int) -> Cell:
        built: Cell = factory(input_size, config.cell.hidden_size, **keywords)
        return built

    return SequenceModel(
        make_cell,
        num_layers=config.model.num_layers,
        input_size=task.input_size,
        output_size=task.output_size,
        mode=task.mode,
        key=key,
    )


def initial_weights(config: FrozenConfigDict, task: Task) -> tuple[Any, Tree]:
    """The model's static part and its weights, drawn from stream 0 of the run's key.

    One compilation draws all weights; drawn one by one, each would need its own.
    """
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    build = partial(build_model, config, task)
    graphdef = nnx.graphdef(nnx.eval_shape(build, key))
    draw = jax.jit(lambda key: nnx.to_pure_dict(nnx.state(build(key), nnx.Param)))
    return graphdef, draw(key)


def make_plan(config: FrozenConfigDict, *, data_dir: Path | None, chunk_steps: int) -> Plan:
    """Everything a run needs, checked before anything is compiled."""
    require_choice("config.optimizer.name", config.optimizer.name, OPTIMIZERS)
    require_choice("config.optimizer.schedule", config.optimizer.schedule, SCHEDULES)
    require_choice("config.clip.name", config.clip.name, CLIPS)
    task = build_task(config.task.name, data_dir, **options(config, "task"))
    batch_size = config.train.batch_size
    epoch_steps = epoch_length(task.train, batch_size)
    if isinstance(task.train, Finite) and batch_size > task.train.size:
        raise UsageError(
            f"config.train.batch_size {batch_size} exceeds the {task.train.size} training examples"
        )

    def steps(key: str) -> int:
        return duration_steps(config, key, batch_size=batch_size, epoch_steps=epoch_steps)

    graphdef, params = initial_weights(config, task)
    recipe = Recipe(
        task=task,
        graphdef=graphdef,
        optimizer=config.optimizer.name,
        clip=config.clip.name,
        rate_factor=schedule(
            config.optimizer.schedule,
            warmup_steps=steps("optimizer.warmup"),
            total_steps=steps("train.duration"),
        ),
        batch_size=batch_size,
        chunk_steps=chunk_steps,
    )
    return Plan(
        config=config,
        recipe=recipe,
        hyper=make_hyper(
            learning_rate=config.optimizer.learning_rate,
            momentum=config.optimizer.momentum,
            weight_decay=config.optimizer.weight_decay,
            clip_threshold=config.clip.threshold,
        ),
        params=params,
        total_steps=steps("train.duration"),
        eval_steps=steps("eval.every"),
        checkpoint_steps=steps("checkpoint.every"),
        record_steps=steps("record.every"),
        epoch_steps=epoch_steps,
    )
