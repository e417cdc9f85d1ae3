"""The static choices of a training program, its model, inputs and state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.axis import TIME
from rnnexp.core.types import Array, Batch, Key, State, Tree
from rnnexp.gradflow.position_losses import apply
from rnnexp.gradflow.regularizers import Regularizers
from rnnexp.models.forward import EVALUATION, ForwardOptions
from rnnexp.models.sequence import Modelled, SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.scan.unroll import Probe, without_context
from rnnexp.tasks.base import Stream, Task
from rnnexp.train.objective import Objective
from rnnexp.train.optim import Hyper, optimizer, two_states


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The static choices of a training program.

    `teacher_forcing`: networks with output feedback get the true outputs in training.
    `associative`: the time loop is parallel.
    `own_steps`: how many steps the cell makes on an axis of its own; 0: those of the sequence.
    `axis`: what a step of the cell is.
    `devices`: over how many the batch is divided; see `rnnexp.runtime.mesh`.
    `adjoint_limit`: dL/ds_t is limited in the backward pass; see `gradflow.adjoint_limit`.
    `optimizer_options`: of the optimiser's factory, but those that are traced.
    `objective`: what is minimised, if that is not the mean of the task's loss.
    `weight_noise`: its standard deviation; see `rnnexp.train.weight_noise`.
    `noisy_evaluation`: whether evaluations have it too.
    """

    task: Task
    graphdef: Any
    optimizer: str
    clip: str
    rate_factor: Callable[[Array], Array]
    batch_size: int
    chunk_steps: int
    teacher_forcing: bool = True
    associative: bool = False
    own_steps: int = 0
    axis: str = TIME
    devices: int = 1
    regularizers: Regularizers = Regularizers()  # noqa: RUF009  an immutable value
    adjoint_limit: bool = False
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    objective: Objective | None = None
    weight_noise: float = 0.0
    noisy_evaluation: bool = False

    def model(self, params: Tree) -> SequenceModel | Transducer:
        """The model with these parameters."""
        merged: SequenceModel | Transducer = nnx.merge(self.graphdef, params)
        return merged

    @property
    def forced_steps(self) -> int | None:
        """At how many steps a network with output feedback gets the true outputs; None: all."""
        return None if self.teacher_forcing else 0

    @property
    def profile_steps(self) -> int:
        """T of the recorded profiles."""
        return self.own_steps or max(self.task.num_steps, self.task.target_steps)

    @cached_property
    def start(self) -> Callable[[Tree, Hyper], "TrainState"]:
        """The compiled `init_state` of weights and traced values, which copies the weights."""

        def start(params: Tree, hyper: Hyper) -> TrainState:
            return init_state(self, jax.tree.map(jnp.copy, params), hyper)

        compiled: Callable[[Tree, Hyper], TrainState] = jax.jit(start)
        return compiled


class StepInputs(NamedTuple):
    """Arguments of a step's loss besides the parameters: batch, initial states of the units
    (empty: their own), key of the noise, traced values, and the number of updates before."""

    batch: Batch
    carry: Sequence[State]
    key: Key
    hyper: Hyper
    step: Array

    def options(
        self, recipe: Recipe, probes: Sequence[Probe] | None = None, *, keep_states: bool = False
    ) -> ForwardOptions:
        """The options of a forward pass in training."""
        return ForwardOptions(
            states=self.carry,
            probes=probes,
            key=self.key,
            rates=self.hyper,
            forced_steps=recipe.forced_steps,
            keep_states=keep_states,
        )


class TrainState(NamedTuple):
    """Everything that changes from step to step.

    `step` counts the updates made. At a divergence it is the step that failed, with the
    parameters before it. `carry` holds the units' states where they continue from batch to batch,
    as a task's sequence does or a persistent cell (`Cell.persistent`); it is empty otherwise.
    """

    params: Tree
    opt_state: Tree
    step: Array
    diverged: Array
    carry: list[State]


def init_state(recipe: Recipe, params: Tree, hyper: Hyper) -> TrainState:
    """The state before the first step."""
    rate = hyper["learning_rate"]
    transform = optimizer(recipe.optimizer, hyper, rate, recipe.optimizer_options)
    if recipe.regularizers.flossing_apart:
        transform = two_states(transform, jnp.zeros((), bool))
    carry = first_carry(recipe, params)
    return TrainState(
        params, transform.init(params), jnp.zeros((), jnp.int32), jnp.zeros((), bool), carry
    )


def first_carry(recipe: Recipe, params: Tree) -> list[State]:
    """What continues from batch to batch, before the first; empty where nothing does."""
    model, size = recipe.model(params), recipe.batch_size
    if isinstance(recipe.task.train, Stream):
        return start_states(model, size)
    layers = [unit.layer for unit in model.units()]
    if not layers[0].cell.persistent:
        return []
    return [without_context(layer.cell, layer.params(), size) for layer in layers]


def start_states(model: SequenceModel | Transducer, batch_size: int) -> list[State]:
    """The initial states of a model's units, in new arrays."""
    starts = [unit.layer.start(batch_size) for unit in model.units()]
    return [{k: jnp.array(v) for k, v in start.items()} for start in starts]


def apply_model(
    recipe: Recipe, params: Tree, batch: Batch, options: ForwardOptions = EVALUATION
) -> Modelled:
    """The model's outputs for a batch of the task."""
    options = options._replace(states=options.states or None)
    return apply(recipe.model(params), batch, options, teacher=recipe.task.teacher)
