"""Pairs cells with tasks: which fit, and the model, task and program of a configuration."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.config.schema import duration_steps, flat, options
from rnnexp.config.validate import require_fit
from rnnexp.config.validate_interventions import regularizers_of, require_interventions
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Key, Tree
from rnnexp.gradflow.nonfinite import Order
from rnnexp.gradflow.position_losses import stacks
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.models.transduction import Transducer
from rnnexp.runtime.compilation_cache import quickly
from rnnexp.runtime.mesh import require_devices
from rnnexp.scan.unroll import Path as Path_
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Bucketed, Task
from rnnexp.tasks.batches import epoch_length, left_out, padding, source_size
from rnnexp.train.choose_kernel import fused_precision, use_kernel
from rnnexp.train.choose_newton import Offer, offer_newton
from rnnexp.train.optim import CLIPS, OPTIMIZERS, SCHEDULES, TRACED, Hyper, make_hyper, schedule
from rnnexp.train.program import Recipe

cell: Callable[..., Any] = CELLS.register
"""Decorator: `@rnnexp.cell("name")` adds a cell factory `(input_size, hidden_size, *, ...)`."""
task: Callable[..., Any] = TASKS.register
"""Decorator: `@rnnexp.task("name", modes=("synchronous",))` adds a task factory `(*, ...)`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A configuration turned into functions and numbers of steps.

    `draw` makes initial weights from a key; `params` are those of the run's seed. `newton` is
    what came of `config.model.newton`. Of `keep_steps` and `laboratory_steps` 0 means never.
    """

    config: FrozenConfigDict
    recipe: Recipe
    hyper: Hyper
    draw: Callable[[Key], Tree]
    params: Tree
    newton: Offer
    total_steps: int
    eval_steps: int
    checkpoint_steps: int
    record_steps: int
    keep_steps: int
    laboratory_steps: int
    epoch_steps: int | None

    @property
    def units(self) -> list[Order]:
        """The model's units in the order of the profiles' rows."""
        return [
            Order(unit.name, unit.backward, int(unit.name.startswith("decoder")))
            for unit in self.recipe.model(self.params).units()
        ]

    @property
    def recurrence(self) -> str:
        """What runs through the time axis: `compiled kernel`, `associative scan`, `Newton's
        iteration (METHOD)` or `scan`."""
        path = stacks(self.recipe.model(self.params))[0].structure.path
        if path.kernel:
            if path.fused:
                return f"fused kernel, products in {path.fused}"
            return "compiled kernel"
        if path.newton:
            return f"Newton's iteration ({path.newton})"
        return "associative scan" if path.associative else "scan"

    @property
    def left_out_examples(self) -> int:
        """Training examples of an epoch (symbols of a stream) that fill no batch."""
        return left_out(self.recipe.task.train, self.recipe.batch_size)

    @property
    def buckets_text(self) -> str:
        """How the training set's lengths are grouped; empty without buckets."""
        source = self.recipe.task.train
        if not isinstance(source, Bucketed):
            return ""
        steps = ", ".join(str(bucket.steps) for bucket in source.buckets)
        return (
            f"{len(source.buckets)} buckets of up to {steps} steps, {padding(source):.0%} padding; "
            "one compilation for all"
        )


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
    built: Task = factory(**keywords, **_wanted(factory, data_dir=data_dir))
    return built


def _wanted(factory: Callable[..., Any], **values: Any) -> dict[str, Any]:
    """Those of the values that a factory has a keyword for."""
    parameters = inspect.signature(factory).parameters
    return {name: value for name, value in values.items() if name in parameters}


def build_structure(config: FrozenConfigDict) -> Structure:
    """The structure that `config.model` describes; `UsageError` for a bad value."""
    keywords = config.model.to_dict()
    keywords.pop("teacher_forcing")
    keywords.pop("kernel")
    keywords.pop("precision")
    keywords.pop("newton")
    names = ("associative", "cut_steps", "remat_steps")
    path = Path_(**{name: keywords.pop(name) for name in names})
    return Structure(path=path, **keywords)


def build_model(config: FrozenConfigDict, task: Task, key: Key) -> SequenceModel | Transducer:
    """The stack of cells, or encoder and decoder, that a configuration describes."""
    factory = CELLS.entry(config.cell.name).factory()
    structure = build_structure(config)
    keywords = options(config, "cell") | _wanted(factory, output_size=task.output_size)

    def make_cell(input_size: int, layer: int) -> Cell:
        number = _wanted(factory, layer=layer)
        # Models are built inside jit; the arrays that a cell closes over must outlive it.
        with jax.ensure_compile_time_eval():
            built: Cell = factory(input_size, config.cell.hidden_size, **keywords, **number)
        return built

    sizes = {"input_size": task.input_size, "output_size": task.output_size}
    first = make_cell(task.input_size, 0)
    require_fit(config, structure, first, task)
    require_interventions(config, structure, first)
    path = structure.path._replace(kernel=use_kernel(config, first), fused=fused_precision(config))
    structure = replace(structure, path=path)
    if task.mode == "asynchronous":
        return Transducer(make_cell, structure=structure, key=key, **sizes)
    return SequenceModel(make_cell, structure=structure, mode=task.mode, key=key, **sizes)


def weights(config: FrozenConfigDict, task: Task) -> tuple[Any, Callable[[Key], Tree]]:
    """The model's static part, and the function that draws its weights from a key.

    One compilation draws all weights; drawn one by one, each would need its own. It runs once,
    so it is compiled quickly rather than well; the weights are the same, bit for bit.
    """
    build = partial(build_model, config, task)
    graphdef = nnx.graphdef(nnx.eval_shape(build, jax.random.key(0)))

    def draw(key: Key) -> Tree:
        return nnx.to_pure_dict(nnx.state(build(key), nnx.Param))

    return graphdef, jax.jit(draw, compiler_options=quickly())


def weights_key(seed: int) -> Key:
    """The key of the initial weights: stream 0 of the run's."""
    return jax.random.fold_in(jax.random.key(seed), 0)


def make_lane(plan: Plan, config: FrozenConfigDict) -> Plan:
    """The plan of a run that differs from `plan` only in what its program takes as values.

    It has the same task and recipe, so that both run in one compiled program.
    """
    if options(config, "cell") == options(plan.config, "cell"):
        draw = plan.draw
    else:
        draw = weights(config, plan.recipe.task)[1]
    params = draw(weights_key(config.seed))
    return replace(plan, config=config, hyper=hyper_of(config), draw=draw, params=params)


def hyper_of(config: FrozenConfigDict) -> Hyper:
    """The traced values of a configuration."""
    values = flat(config)
    return make_hyper(**{name: values[key] for key, name in TRACED.items()})


def make_plan(config: FrozenConfigDict, *, data_dir: Path | None, chunk_steps: int) -> Plan:
    """Everything a run needs, checked before anything is compiled."""
    require_choice("config.optimizer.name", config.optimizer.name, OPTIMIZERS)
    require_choice("config.optimizer.schedule", config.optimizer.schedule, SCHEDULES)
    require_choice("config.clip.name", config.clip.name, CLIPS)
    task = build_task(config.task.name, data_dir, **options(config, "task"))
    batch_size = config.train.batch_size
    require_devices(config.devices, batch_size)
    epoch_steps = epoch_length(task.train, batch_size)
    if epoch_steps == 0:
        raise UsageError(
            f"config.train.batch_size {batch_size} is too large: the training set of {task.name} "
            f"({source_size(task.train):,} in all) does not fill one batch"
        )

    def steps(key: str) -> int:
        return duration_steps(config, key, batch_size=batch_size, epoch_steps=epoch_steps)

    graphdef, draw = weights(config, task)
    params = draw(weights_key(config.seed))
    graphdef, newton = offer_newton(config, task, graphdef, params)
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
        teacher_forcing=config.model.teacher_forcing,
        associative=config.model.associative or newton.method != "",
        devices=config.devices,
        regularizers=regularizers_of(config),
        adjoint_limit=config.clip.adjoint_limit > 0,
    )
    return Plan(
        config=config,
        recipe=recipe,
        hyper=hyper_of(config),
        draw=draw,
        params=params,
        newton=newton,
        total_steps=steps("train.duration"),
        eval_steps=steps("eval.every"),
        checkpoint_steps=steps("checkpoint.every"),
        record_steps=steps("record.every"),
        keep_steps=steps("checkpoint.keep_every"),
        laboratory_steps=steps("laboratory.every"),
        epoch_steps=epoch_steps,
    )
