"""The penalties of a training program over all units of its model, with their gradients.

A penalty is a mean over the batch, or a function of the parameters alone. Of several devices
each computes its part; the penalty is their sum.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow import regularizers
from rnnexp.gradflow.position_losses import Span
from rnnexp.scan.unroll import Trajectory
from rnnexp.train.program import Recipe, StepInputs, apply_model


class Flow(NamedTuple):
    """Results of the task's pass by unit: its span, and for Omega its trajectory and dL/ds_t of
    the whole state."""

    reach: Sequence[Span]
    trajectories: Sequence[Trajectory]
    adjoints: Sequence[State]


class Penalty(NamedTuple):
    """This device's part of a penalty without its weight, and the gradient of that."""

    value: Array
    grads: Tree


def find_penalties(
    recipe: Recipe, params: Tree, inputs: StepInputs, flow: Flow, *, record: bool
) -> dict[str, Penalty]:
    """Every penalty of the recipe, by name.

    Where flossing is not due its gradient is 0, and its value too unless the step is recorded.
    """
    wanted = recipe.regularizers
    penalties = {}
    if wanted.omega:
        penalties["omega"] = _part(recipe, params, lambda p: _omega(recipe, p, flow))
    if wanted.orthogonality:
        penalties["orthogonality"] = _part(recipe, params, lambda p: _orthogonality(recipe, p))
    if wanted.flossing:
        penalties["flossing"] = _flossing_when_due(recipe, params, inputs, flow, record=record)
    return penalties


def add_penalties(
    recipe: Recipe, inputs: StepInputs, grads: Tree, penalties: dict[str, Penalty]
) -> Tree:
    """The gradient of the task's loss plus each penalty times its weight.

    During the first `flossing_before_steps` updates it is that of flossing alone.
    """
    first = recipe.regularizers.flossing_before_steps
    for name, penalty in penalties.items():
        if name != "flossing":
            grads = _plus(grads, penalty.grads, inputs.hyper[name])
    if recipe.regularizers.flossing:
        if first:
            after = (inputs.step >= first).astype(inputs.hyper["flossing"].dtype)
            grads = jax.tree.map(lambda leaf: leaf * after, grads)
        grads = _plus(grads, penalties["flossing"].grads, inputs.hyper["flossing"])
    return grads


def _omega(recipe: Recipe, params: Tree, flow: Flow) -> Array:
    rows = zip(recipe.model(params).units(), *flow, strict=True)
    form = recipe.regularizers.omega_form
    return _sum(
        regularizers.omega(
            unit.layer.cell, unit.layer.params(), seen, adjoint, span.lengths_B, form=form
        )
        for unit, span, seen, adjoint in rows
    )


def _orthogonality(recipe: Recipe, params: Tree) -> Array:
    units = recipe.model(params).units()
    return _sum(regularizers.orthogonality(u.layer.cell, u.layer.params()) for u in units)


def _flossing(recipe: Recipe, params: Tree, inputs: StepInputs, reach: Sequence[Span]) -> Array:
    got = apply_model(recipe, params, inputs.batch, inputs.options(recipe, keep_states=True))
    rows = zip(recipe.model(params).units(), got.trajectories, reach, strict=True)

    count = recipe.regularizers.flossing_exponents
    return _sum(
        regularizers.flossing(
            unit.layer.cell, unit.layer.params(), seen, span.lengths_B, exponents=count
        )
        for unit, seen, span in rows
    )


def _flossing_when_due(
    recipe: Recipe, params: Tree, inputs: StepInputs, flow: Flow, *, record: bool
) -> Penalty:
    """Flossing, computed at the steps where it is due or recorded."""
    every = recipe.regularizers.flossing_every_steps
    due = inputs.step < recipe.regularizers.flossing_before_steps
    if every:
        due |= inputs.step % every == 0

    def compute(params: Tree) -> Penalty:
        return _part(recipe, params, lambda p: _flossing(recipe, p, inputs, flow.reach))

    if every == 1:
        return compute(params)
    if record:
        value, grads = compute(params)
        zeros = jax.tree.map(jnp.zeros_like, grads)
        return Penalty(value, jax.tree.map(lambda g, z: jnp.where(due, g, z), grads, zeros))
    shapes = jax.eval_shape(compute, params)

    def nothing(params: Tree) -> Penalty:
        zeros: Penalty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return zeros

    penalty: Penalty = jax.lax.cond(due, compute, nothing, params)
    return penalty


def _part(recipe: Recipe, params: Tree, penalty: Callable[[Tree], Array]) -> Penalty:
    return Penalty(*jax.value_and_grad(lambda p: penalty(p) / recipe.devices)(params))


def _sum(terms: Iterable[Array]) -> Array:
    return jnp.sum(jnp.stack(list(terms)))


def _plus(grads: Tree, extra: Tree, weight: Array) -> Tree:
    return jax.tree.map(lambda g, e: g + weight * e, grads, extra)
