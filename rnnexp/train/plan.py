"""The plan of a run: a configuration turned into functions and numbers of steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.config.choices import keywords
from rnnexp.config.schema import duration_steps, flat, options
from rnnexp.config.validate_interventions import regularizers_of
from rnnexp.core.axis import steps_of
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Key, Tree
from rnnexp.gradflow.nonfinite import UnitOrder
from rnnexp.gradflow.position_losses import stacks
from rnnexp.models.scoring import head_scores
from rnnexp.runtime.mesh import require_devices
from rnnexp.tasks.base import Bucketed, Task
from rnnexp.tasks.batches import (
    epoch_length,
    first_batch,
    left_out,
    padding,
    source_size,
    stream_keys,
)
from rnnexp.train.build import build_task, weights, weights_key
from rnnexp.train.check_parts import check_parts
from rnnexp.train.choose_time_loop import (
    Exponents,
    NewtonDecision,
    choose_time_loop,
    describe,
    graphdef_with,
    largest_exponents,
    log_reasons,
)
from rnnexp.train.lengths import length_tasks
from rnnexp.train.memory_need import require_room_for_batches
from rnnexp.train.objective import objective_of
from rnnexp.train.optim import CLIPS, TRACED, Hyper, make_hyper, schedule
from rnnexp.train.program import Recipe

PERIODS = {
    "total_steps": "train.duration",
    "eval_steps": "eval.every",
    "checkpoint_steps": "checkpoint.every",
    "record_steps": "record.every",
    "keep_steps": "checkpoint.keep_every",
    "laboratory_steps": "laboratory.every",
    "warmup_steps": "optimizer.warmup",
    "decay_steps": "optimizer.decay",
}
"""Numbers of steps of a plan, from the durations of the configuration."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A configuration turned into functions and numbers of steps.

    `draw` draws initial weights from a key; `params` are those of the run's seed. `newton` is the
    decision on `config.model.newton`. 0 `keep_steps` or `laboratory_steps` mean never.
    `length_tasks` are the task at the lengths at which the trained network is tested too.
    """

    config: FrozenConfigDict
    recipe: Recipe
    hyper: Hyper
    draw: Callable[[Key], Tree]
    params: Tree
    newton: NewtonDecision
    total_steps: int
    eval_steps: int
    checkpoint_steps: int
    record_steps: int
    keep_steps: int
    laboratory_steps: int
    warmup_steps: int
    decay_steps: int
    epoch_steps: int | None
    length_tasks: Mapping[int, Task] = field(default_factory=dict)

    @property
    def units(self) -> list[UnitOrder]:
        """The model's units in the order of the profiles' rows."""
        return [
            UnitOrder(unit.name, unit.backward, int(unit.name.startswith("decoder")))
            for unit in self.recipe.model(self.params).units()
        ]

    @property
    def own_units(self) -> bool:
        """Whether the head's scores are other quantities than the task's."""
        model = self.recipe.model(self.params)
        own = head_scores(model) is not None
        return own and not getattr(model.readout, "same_units", False)

    @property
    def baseline(self) -> Mapping[str, float]:
        """The task's baseline; none if the head's scores cannot be compared with it."""
        return {} if self.own_units else self.recipe.task.baseline

    @property
    def references(self) -> Mapping[str, float]:
        """The task's further figures; none if the head's scores cannot be compared with them."""
        return {} if self.own_units else self.recipe.task.references

    @property
    def notes(self) -> list[str]:
        """What a run says of its cell at the start: steps on an axis of its own, a note."""
        model = self.recipe.model(self.params)
        cell = model.units()[0].layer.cell
        own = [f"{cell.name} makes {cell.steps} {steps_of(cell.axis)}, on which it reads no input"]
        head = f"the head {self.config.head.name} scores itself, in other units than the task: "
        lines = own if cell.steps else []
        said = (cell.note, getattr(getattr(model, "readout", None), "note", ""))
        lines += [note for note in said if note]
        return lines + ([f"{head}its baselines are left out"] if self.own_units else [])

    @property
    def recurrence(self) -> str:
        """The time loop: see `choose_time_loop.describe`."""
        return describe(stacks(self.recipe.model(self.params))[0].structure.time_loop)

    @property
    def left_out_examples(self) -> int:
        """Training examples of an epoch (symbols of a stream) that fill no batch."""
        return left_out(self.recipe.task.train, self.recipe.batch_size)

    @property
    def buckets_text(self) -> str:
        """The buckets of the training set; empty without any."""
        source = self.recipe.task.train
        if not isinstance(source, Bucketed):
            return ""
        steps = ", ".join(str(bucket.steps) for bucket in source.buckets)
        return (
            f"{len(source.buckets)} buckets of up to {steps} steps, {padding(source):.0%} padding; "
            "one compilation for all"
        )


def make_plan(
    config: FrozenConfigDict, *, data_dir: Path | None, chunk_steps: int, task: Task | None = None
) -> Plan:
    """The plan of a run, checked before its program is compiled.

    `task` is the configuration's own, if it was built already.

    Raises `UsageError` for an invalid configuration, naming the key.
    """
    require_choice("config.clip.name", config.clip.name, CLIPS)
    objective, values = objective_of(config), flat(config)
    names = config.optimizer
    if task is None:
        task = build_task(config.task.name, data_dir, **options(config, "task"))
    require_room_for_batches(config, task)
    epoch_steps = _epoch_steps(config, task)
    sizes: dict[str, Any] = {"batch_size": config.train.batch_size, "epoch_steps": epoch_steps}
    steps = {name: duration_steps(config, key, **sizes) for name, key in PERIODS.items()}
    graphdef, draw = weights(config, task)
    params = draw(weights_key(config.seed))
    cell = nnx.merge(graphdef, params).units()[0].layer.cell
    at_lengths = length_tasks(config, task, cell)
    graphdef, newton = _with_chosen_loop(config, task, graphdef, params)
    recipe = Recipe(
        task=task,
        graphdef=graphdef,
        optimizer=names.name,
        optimizer_options=keywords("optimizer.name", names.name, values),
        clip=config.clip.name,
        rate_factor=schedule(
            names.schedule,
            warmup_steps=steps["warmup_steps"],
            total_steps=steps["total_steps"],
            decay_steps=steps["decay_steps"],
            options=keywords("optimizer.schedule", names.schedule, values),
        ),
        batch_size=config.train.batch_size,
        chunk_steps=chunk_steps,
        teacher_forcing=config.model.teacher_forcing,
        own_steps=cell.steps,
        axis=cell.axis,
        associative=config.model.associative or newton.method != "",
        devices=config.devices,
        regularizers=regularizers_of(config),
        adjoint_limit=config.clip.adjoint_limit > 0,
        objective=objective,
        weight_noise=config.model.weight_noise,
        noisy_evaluation=config.model.noisy_evaluation,
    )
    hyper = hyper_of(config)
    check_parts(config, recipe, params, hyper)
    return Plan(
        config=config, recipe=recipe, hyper=hyper, draw=draw, params=params,
        newton=newton, epoch_steps=epoch_steps, length_tasks=at_lengths, **steps,
    )  # fmt: skip


def make_lane(plan: Plan, config: FrozenConfigDict) -> Plan:
    """The plan of a run that differs from `plan` only in seed and traced values.

    It has the same task and recipe, so that both run in one compiled program.
    """
    same_cell = options(config, "cell") == options(plan.config, "cell")
    draw = plan.draw if same_cell else weights(config, plan.recipe.task)[1]
    params = draw(weights_key(config.seed))
    return replace(plan, config=config, hyper=hyper_of(config), draw=draw, params=params)


def hyper_of(config: FrozenConfigDict) -> Hyper:
    """The traced values of a configuration."""
    values = flat(config)
    return make_hyper(**{name: values[key] for key, name in TRACED.items()})


def _epoch_steps(config: FrozenConfigDict, task: Task) -> int | None:
    """Steps of an epoch, None without epochs; `UsageError` for a bad batch size."""
    batch_size = config.train.batch_size
    require_devices(config.devices, batch_size)
    epoch_steps = epoch_length(task.train, batch_size)
    if epoch_steps == 0:
        raise UsageError(
            f"config.train.batch_size {batch_size} is too large: the training set of {task.name} "
            f"({source_size(task.train):,} in all) does not fill one batch"
        )
    return epoch_steps


def _with_chosen_loop(
    config: FrozenConfigDict, task: Task, graphdef: Any, params: Tree
) -> tuple[Any, NewtonDecision]:
    """The model's static part with the chosen time loop, and the decision on Newton's iteration,
    from the exponents of the initial network on the run's first batch."""
    model = nnx.merge(graphdef, params)

    def find_exponents() -> Exponents:
        key = stream_keys(config.seed)["train"]
        return largest_exponents(model, first_batch(task.train, key, config.train.batch_size))

    choice = choose_time_loop(config, model.units()[0].layer.cell, find_exponents)
    log_reasons(choice.reasons)
    return graphdef_with(graphdef, params, choice.time_loop), choice.newton
