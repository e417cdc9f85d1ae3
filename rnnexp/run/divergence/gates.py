"""Fractions of closed and open gates at a training step, on that step's own batch."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import no_gates
from rnnexp.core.errors import first_line
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.gradflow.growth import GradientGrowth, changed_gate
from rnnexp.gradflow.position_losses import spans
from rnnexp.laboratory.saturation import gate_saturation
from rnnexp.models.stack import Unit
from rnnexp.runtime.mesh import process_count
from rnnexp.scan.unroll import Trajectory
from rnnexp.tasks.batches import Keys, epoch_order, stream_keys
from rnnexp.train.plan import Plan
from rnnexp.train.program import Recipe, StepInputs, TrainState, apply_model
from rnnexp.train.step import Lane, next_inputs
from rnnexp.train.weight_noise import noisy_weights

log = logging.getLogger("rnnexp")
Fractions = Mapping[str, np.ndarray]
"""By gate the fractions (2, T) of closed and of open values; NaN where there is no step."""


class GateFractions:
    """The fractions of closed and open gates at any step of a recipe's runs; compiled once."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self._program = jax.jit(partial(_fractions_of_step, recipe), static_argnums=0)

    def of_steps(
        self, plan: Plan, states: Mapping[int, TrainState], arrays: Tree
    ) -> dict[int, dict[str, Fractions]]:
        """By step and unit, computed from the states before those steps.

        Args:
          states: by step, the state before it.
          arrays: the training set's arrays.

        Returns:
          Nothing for cells without gates. Also nothing, and a line says so, if several
          processes compute the run or the device has no memory for the trajectory.
        """
        units = self.recipe.model(plan.params).units()
        if all(unit.layer.cell.gates is no_gates for unit in units):
            return {}
        if process_count() > 1:
            log.info("a run of several processes does not record what its gates did")
            return {}
        try:
            return {
                step: {
                    unit.name: gates
                    for unit, gates in zip(units, self._at(plan, state, arrays), strict=True)
                }
                for step, state in states.items()
            }
        except jax.errors.JaxRuntimeError as error:
            log.warning("what the gates did is not recorded: %s", first_line(error))
            return {}

    def _at(self, plan: Plan, state: TrainState, arrays: Tree) -> list[Fractions]:
        lane = lane_of(plan, state)
        bucket = int(whole_inputs(self.recipe, lane, arrays)[0])
        fractions: list[Fractions] = jax.device_get(self._program(bucket, lane, arrays))
        return fractions


def lane_of(plan: Plan, state: TrainState) -> Lane:
    """A run's state before a step, and what else that step depends on."""
    keys = stream_keys(plan.config.seed)
    return Lane(state, (), Keys(keys["train"], keys["noise"]), dict(plan.hyper))


def _fractions_of_step(
    recipe: Recipe, bucket: int, lane: Lane, arrays: Tree
) -> list[dict[str, Array]]:
    """The fractions of every unit at the step that follows `lane.state`."""
    return [
        gate_fractions(unit, seen, lengths_B, recipe.profile_steps)
        for unit, seen, lengths_B in trajectories_of_step(recipe, bucket, lane, arrays)[1]
    ]


def trajectories_of_step(
    recipe: Recipe, bucket: int, lane: Lane, arrays: Tree
) -> tuple[Batch, list[tuple[Unit, Trajectory, Array | None]]]:
    """The batch of the step that follows `lane.state`, and every unit with its states and the
    lengths of its sequences, from a forward pass on that batch."""
    inputs = whole_inputs(recipe, lane, arrays)[1][bucket]()
    params = noisy_weights(recipe, lane.state.params, inputs.key)
    model = recipe.model(params)
    options = inputs.options(recipe, keep_states=True)
    trajectories = apply_model(recipe, params, inputs.batch, options).trajectories
    lengths = [span.lengths_B for span in spans(model, inputs.batch)]
    return inputs.batch, list(zip(model.units(), trajectories, lengths, strict=True))


def whole_inputs(
    recipe: Recipe, lane: Lane, arrays: Tree
) -> tuple[Array, list[Callable[[], StepInputs]]]:
    """The whole batch of the next step, by bucket, in the order of its epoch."""
    state = lane.state
    step = jnp.asarray(state.step)
    order = epoch_order(recipe.task.train, lane.keys.data, step, recipe.batch_size)
    return next_inputs(recipe, arrays, lane._replace(indices=order), devices=1)


def gate_fractions(
    unit: Unit, seen: Trajectory, lengths_B: Array | None, steps: int
) -> dict[str, Array]:
    """By gate the fractions (2, T) of closed and open values, over units and valid examples.

    Time is in the sequence's own order. The result is NaN in front if the unit has fewer than
    `steps` steps, and wherever no example is valid or a value is NaN.
    """
    cell, params = unit.layer.cell, unit.layer.params()
    found = gate_saturation(cell, params, seen, lengths_B, backward=unit.backward)

    def fractions(gate: str) -> Array:
        sides_2xT = jnp.stack([found.low[gate], found.high[gate]])
        known_2xT = jnp.where(jnp.isnan(found.mean[gate])[None], jnp.nan, sides_2xT)
        shorter = steps - sides_2xT.shape[1]
        return jnp.pad(known_2xT, ((0, 0), (shorter, 0)), constant_values=jnp.nan)

    return {gate: fractions(gate) for gate in found.mean}


def gate_of(
    growth: GradientGrowth, gates: Mapping[int, Mapping[str, Fractions]], plan: Plan
) -> dict[str, Any] | None:
    """The data of the gate that changed most where growth began; None: no gates, or no change.

    The change is that from the window's first step to the onset; if nothing changed by then,
    or if the onset is the first step, to the failed step. Gates are read at the time step that
    follows the onset's in the unit's own order of time, because that step carries the state on.
    """
    backward = {unit.name: unit.backward for unit in plan.units}[growth.unit]
    if not gates:
        return None
    steps = sorted(gates)

    def at(step: int) -> dict[str, tuple[float, float]]:
        found = {}
        for name, fractions_2xT in gates[step][growth.unit].items():
            there = np.clip(growth.time + (-1 if backward else 1), 0, fractions_2xT.shape[1] - 1)
            if np.isnan(fractions_2xT[:, there]).any():
                there = growth.time
            found[name] = (float(fractions_2xT[0, there]), float(fractions_2xT[1, there]))
        return found

    change = None
    if steps[0] < growth.step:
        change = changed_gate(at(steps[0]), at(growth.step)) if growth.step in gates else None
    change = change or changed_gate(at(steps[0]), at(steps[-1]))
    return None if change is None else change._asdict()
