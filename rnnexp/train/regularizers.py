"""The penalties of a training program over all units of its model, with their gradients.

A penalty is a mean over the batch, or a function of the parameters alone. Of several devices
each computes its part; the penalty is their sum.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.branch import compute_if
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

    In updates by flossing alone (`Regularizers.alone`) it is that of flossing.
    """
    wanted = recipe.regularizers
    for name, penalty in penalties.items():
        if name != "flossing":
            grads = _plus(grads, penalty.grads, inputs.hyper[name])
    if wanted.flossing:
        if wanted.flossing_before_steps:
            after = (~wanted.alone(inputs.step)).astype(inputs.hyper["flossing"].dtype)
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


def _flossing(
    recipe: Recipe, params: Tree, inputs: StepInputs, lengths: Sequence[Array | None]
) -> Array:
    """Flossing of all units, whose sequences have these lengths."""
    wanted = recipe.regularizers
    got = apply_model(recipe, params, inputs.batch, inputs.options(recipe, keep_states=True))
    terms = []
    for unit, seen, lengths_B in zip(
        recipe.model(params).units(), got.trajectories, lengths, strict=True
    ):
        seen, lengths_B = regularizers.first_part(
            seen, lengths_B, steps=wanted.flossing_window_steps, examples=wanted.flossing_examples
        )
        cell, own = unit.layer.cell, unit.layer.params()
        terms.append(
            regularizers.flossing(cell, own, seen, lengths_B, exponents=wanted.flossing_exponents)
        )
    return _sum(terms)


def _flossing_when_due(
    recipe: Recipe, params: Tree, inputs: StepInputs, flow: Flow, *, record: bool
) -> Penalty:
    """Flossing, computed at the steps where it is due or recorded."""
    every = recipe.regularizers.flossing_every_steps
    due = recipe.regularizers.alone(inputs.step)
    if every:
        due |= inputs.step % every == 0

    def compute(params: Tree, inputs: StepInputs, lengths: Sequence[Array | None]) -> Penalty:
        return _part(recipe, params, lambda p: _flossing(recipe, p, inputs, lengths))

    arguments = params, inputs, [span.lengths_B for span in flow.reach]
    if every == 1:
        return compute(*arguments)
    if record:
        value, grads = compute(*arguments)
        zeros = jax.tree.map(jnp.zeros_like, grads)
        return Penalty(value, jax.tree.map(lambda g, z: jnp.where(due, g, z), grads, zeros))
    penalty: Penalty = compute_if(due, compute, *arguments)
    return penalty


def _part(recipe: Recipe, params: Tree, penalty: Callable[[Tree], Array]) -> Penalty:
    return Penalty(*jax.value_and_grad(lambda p: penalty(p) / recipe.devices)(params))


def _sum(terms: Iterable[Array]) -> Array:
    return jnp.sum(jnp.stack(list(terms)))


def _plus(grads: Tree, extra: Tree, weight: Array) -> Tree:
    return jax.tree.map(lambda g, e: g + weight * e, grads, extra)
