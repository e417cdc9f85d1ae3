"""The loss of a training step and its gradient: the objective, and penalties.

The objective is the task's mean loss, unless `config.loss` says otherwise; then it is recorded
beside that as `objective`. Recorded profiles are those of the objective. Omega takes dL/ds_t from
its backward pass and differentiates its one-step terms; flossing runs the model once more. The
gradient is that of the sum.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow.adjoint_limit import limited, whole_recorder
from rnnexp.gradflow.adjoints import (
    NormRecorder,
    Profile,
    norm_recorder,
    probes,
    value_grads_adjoints,
    wanted_whole,
)
from rnnexp.gradflow.position_losses import Model, Span, spans, stacks
from rnnexp.models.scoring import scores_of
from rnnexp.scan.newton.solve import NewtonStats
from rnnexp.scan.unroll import Probe, Trajectory
from rnnexp.train.data_parallel import add_up, mean_shares
from rnnexp.train.objective import minimised
from rnnexp.train.program import Recipe, StepInputs, apply_model
from rnnexp.train.regularizers import Flow, add_penalties, find_penalties
from rnnexp.train.weight_noise import noisy_weights

Extras = tuple[dict[str, Array], list[State], Sequence[Trajectory]]
"""Mean scores, the final states, and the units' trajectories if kept."""


class Backward(NamedTuple):
    """Mean scores, the gradient with penalties, the final states, the profiles if recorded, and
    the penalties, without their weights."""

    means: dict[str, Array]
    grads: Tree
    carry: list[State]
    profiles: list[Profile]
    penalties: dict[str, Array]


def batch_loss(
    recipe: Recipe,
    params: Tree,
    inputs: StepInputs,
    probes: Sequence[Probe] | None = None,
    *,
    keep_states: bool = False,
) -> tuple[Array, Extras]:
    """This device's part of a batch's mean loss, and the extras."""
    options = inputs.options(recipe, probes, keep_states=keep_states)
    got = apply_model(recipe, params, inputs.batch, options)
    scores = scores_of(recipe.model(params), recipe.task.scores, inputs.key)
    scored = dict(scores(got.outputs, inputs.batch))
    if recipe.objective is not None:
        scored |= recipe.objective.score(recipe.task, scored, got.outputs, inputs.batch)
    means = mean_shares(recipe.devices, scored)
    means |= _newton_means(recipe, params, got.newton_stats)
    return minimised(means), (means, got.states if inputs.carry else [], got.trajectories)


def _newton_means(
    recipe: Recipe, params: Tree, newton_stats: Sequence[NewtonStats | None]
) -> dict[str, Array]:
    """Newton's iterations of each unit, and 1 if it fell back to a scan; this device's part of
    the mean."""
    means = {}
    for unit, stats in zip(recipe.model(params).units(), newton_stats, strict=True):
        if stats is not None:
            count = stats.iterations.astype(float) / recipe.devices
            means[f"newton_iterations/{unit.name}"] = count
            failed = (~stats.converged).astype(float) / recipe.devices
            means[f"newton_fell_back/{unit.name}"] = failed
    return means


def backward(recipe: Recipe, params: Tree, inputs: StepInputs, *, record: bool) -> Backward:
    """Loss and gradient of one batch; with `record`, the profiles from the same pass.

    With weight noise all of it is that of the noisy network: the gradient at its weights.
    """
    params = noisy_weights(recipe, params, inputs.key)
    model = recipe.model(params)
    reach = spans(model, inputs.batch)
    recorder = recorder_for(recipe, model, reach, inputs, record=record)

    def loss(params: Tree, slots: Sequence[State]) -> tuple[Array, Extras]:
        on_states = None if recorder is None else probes(recorder.apply, slots)
        return batch_loss(recipe, params, inputs, on_states, keep_states=recipe.regularizers.omega)

    slots: Sequence[State] = [] if recorder is None else recorder.slots
    _, (means, carry, trajectories), grads, adjoints = value_grads_adjoints(loss, params, slots)
    profiles: list[Profile] = []
    if record and recorder is not None:
        profiles = recorder.norms(adjoints, [span.lengths_B for span in reach])
    values: dict[str, Array] = {}
    if recipe.regularizers.any:
        flow = Flow(reach, trajectories, adjoints)
        penalties = find_penalties(recipe, params, inputs, flow, record=record)
        values = {name: penalty.value for name, penalty in penalties.items()}
        grads = add_penalties(recipe, inputs, grads, penalties)
    means, grads, profiles, values = add_up(recipe.devices, (means, grads, profiles, values))
    return Backward(means, grads, carry, profiles, values)


def recorder_for(
    recipe: Recipe, model: Model, reach: Sequence[Span], inputs: StepInputs, *, record: bool
) -> NormRecorder | None:
    """The recorder of a step's states, if any, which also applies the adjoint limit."""
    units, batch_size = model.units(), inputs.batch.inputs_TxBxI.shape[1]
    steps = [span.steps for span in reach]
    recorder = None
    if recipe.regularizers.omega:
        recorder = whole_recorder(units, steps, batch_size, additive=recipe.associative)
    elif record:
        whole = wanted_whole(stacks(model)[0].structure.time_loop)
        recorder = norm_recorder(units, steps, batch_size, additive=recipe.associative, whole=whole)
    if recipe.adjoint_limit:
        bound = inputs.hyper["adjoint_limit"] / (batch_size * recipe.devices)
        recorder = limited(recorder, units, steps, bound)
    return recorder
