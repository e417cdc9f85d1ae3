"""What the gates of every unit did at a training step, on that step's own batch."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import no_gates
from rnnexp.core.errors import first_line
from rnnexp.core.masking import reverse_valid
from rnnexp.core.types import Array, Batch, State, Tree
from rnnexp.gradflow.growth import Growth, changed_gate
from rnnexp.gradflow.position_losses import spans
from rnnexp.models.stack import Unit
from rnnexp.runtime.mesh import process_count
from rnnexp.scan.unroll import Watched
from rnnexp.tasks.base import Bucketed, Stream
from rnnexp.tasks.batches import (
    Keys,
    bucket_batch,
    bucket_of,
    epoch_length,
    epoch_order,
    stream_keys,
    training_batch,
)
from rnnexp.train.optim import Hyper
from rnnexp.train.plan import Plan
from rnnexp.train.program import Recipe, TrainState, apply_model, start_states

log = logging.getLogger("rnnexp")
CLOSED, OPEN = 0.1, 0.9
"""Below and above which a gate's value counts as closed or open."""

UnitShares = Mapping[str, np.ndarray]
"""By gate the shares (2, T) of values that are closed and open; NaN where there is no step."""


class GateShares:
    """The shares of closed and open gates at any step of a recipe's runs; compiled once."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self._program = jax.jit(partial(_shares, recipe), static_argnums=0)

    def of_steps(
        self, plan: Plan, states: Mapping[int, TrainState], arrays: Tree
    ) -> dict[int, dict[str, UnitShares]]:
        """By step, unit and gate, from the states before those steps.

        Empty for cells without gates. Also empty, with a line that says so, where several
        processes compute the run or the device has no memory for the trajectory.
        """
        units = self.recipe.model(plan.params).units()
        if all(unit.layer.cell.gates is no_gates for unit in units):
            return {}
        if process_count() > 1:
            log.info("a run of several processes does not record what its gates did")
            return {}
        keys = stream_keys(plan.config.seed)
        own = Keys(keys["train"], keys["noise"])
        try:
            return {
                step: {
                    unit.name: shares
                    for unit, shares in zip(units, self._at(plan, state, own, arrays), strict=True)
                }
                for step, state in states.items()
            }
        except jax.errors.JaxRuntimeError as error:
            log.warning("what the gates did is not recorded: %s", first_line(error))
            return {}

    def _at(self, plan: Plan, state: TrainState, keys: Keys, arrays: Tree) -> list[UnitShares]:
        source, bucket = self.recipe.task.train, 0
        if isinstance(source, Bucketed):
            step, size = jnp.asarray(state.step), self.recipe.batch_size
            order = epoch_order(source, keys.data, step, size)
            bucket = int(bucket_of(source, order, step, size)[0])
        shares: list[UnitShares] = jax.device_get(
            self._program(bucket, state, keys, dict(plan.hyper), arrays)
        )
        return shares


def _shares(
    recipe: Recipe, bucket: int, state: TrainState, keys: Keys, hyper: Hyper, arrays: Tree
) -> list[dict[str, Array]]:
    """The shares of every unit at the step that follows `state`."""
    model = recipe.model(state.params)
    batch, carry = _given(recipe, bucket, state, keys, arrays)
    got = apply_model(
        recipe,
        state.params,
        batch,
        states=carry,
        key=jax.random.fold_in(keys.noise, state.step),
        rates=hyper,
        forced_steps=None if recipe.teacher_forcing else 0,
        watch=True,
    )
    return [
        unit_shares(unit, seen, span.lengths_B, recipe.profile_steps)
        for unit, seen, span in zip(model.units(), got.watched, spans(model, batch), strict=True)
    ]


def _given(
    recipe: Recipe, bucket: int, state: TrainState, keys: Keys, arrays: Tree
) -> tuple[Batch, list[State]]:
    """The batch of the step that follows `state`, and the states in which it begins."""
    source, size = recipe.task.train, recipe.batch_size
    order = epoch_order(source, keys.data, state.step, size)
    if isinstance(source, Bucketed):
        index = bucket_of(source, order, state.step, size)[1]
        return bucket_batch(source, bucket, arrays, order, index, size), []
    carry = state.carry
    if isinstance(source, Stream):
        begins = state.step % (epoch_length(source, size) or 1) == 0
        fresh = start_states(recipe.model(state.params), size)
        carry = jax.tree.map(lambda new, old: jax.lax.select(begins, new, old), fresh, carry)
    return training_batch(source, arrays, order, keys.data, state.step, size), carry


def unit_shares(unit: Unit, seen: Watched, lengths_B: Array | None, steps: int) -> dict[str, Array]:
    """By gate the shares (2, T) of closed and open values over units and valid examples.

    In the sequence's own order of time; NaN in front where the unit has fewer steps than
    `steps`, where no example is valid, and where a value is NaN.
    """
    cell, params = unit.layer.cell, unit.layer.cell.prepare(unit.layer.params())
    before = {k: jnp.concatenate([seen.start[k][None], v[:-1]]) for k, v in seen.states.items()}
    gates = jax.vmap(jax.vmap(cell.gates, (None, 0, 0)), (None, 0, 0))(
        params, before, seen.inputs_TxBxI
    )
    count, batch_size = seen.inputs_TxBxI.shape[:2]
    valid_TxB = jnp.ones((count, batch_size), bool)
    if lengths_B is not None:
        t_Tx1 = jnp.arange(count, dtype=lengths_B.dtype)[:, None]
        valid_TxB = t_Tx1 < lengths_B[None, :]

    def shares(gate_TxB: Array) -> Array:
        axes = tuple(range(2, gate_TxB.ndim))
        known_TxB = jnp.where(jnp.isnan(gate_TxB).any(axes), jnp.nan, 1.0).astype(gate_TxB.dtype)
        sides = []
        for side in (gate_TxB < CLOSED, gate_TxB > OPEN):
            share_TxB = jnp.mean(side.astype(gate_TxB.dtype), axes) * known_TxB
            share_TxB = jnp.where(valid_TxB, share_TxB, jnp.zeros_like(share_TxB))
            if unit.backward:
                share_TxB = reverse_valid(share_TxB, lengths_B)
            share_T = jnp.sum(share_TxB, 1) / jnp.sum(valid_TxB, 1).astype(share_TxB.dtype)
            sides.append(jnp.pad(share_T, (steps - count, 0), constant_values=jnp.nan))
        return jnp.stack(sides)

    return {name: shares(values) for name, values in gates.items()}


def gate_of(
    growth: Growth, gates: Mapping[int, Mapping[str, UnitShares]], plan: Plan
) -> dict[str, Any] | None:
    """The data of the gate that changed most where growth began; None: no gates, or no change.

    From the window's first step to the onset; if nothing changed by then, or the onset is the
    first step, to the step that failed. It is read at the step that carries the state on:
    the next one in time, or the one before in a unit that reads backwards.
    """
    backward = {unit.name: unit.backward for unit in plan.units}[growth.unit]
    if not gates:
        return None
    steps = sorted(gates)

    def at(step: int) -> dict[str, tuple[float, float]]:
        found = {}
        for name, shares_2xT in gates[step][growth.unit].items():
            there = np.clip(growth.time + (-1 if backward else 1), 0, shares_2xT.shape[1] - 1)
            if np.isnan(shares_2xT[:, there]).any():
                there = growth.time
            found[name] = (float(shares_2xT[0, there]), float(shares_2xT[1, there]))
        return found

    change = None
    if steps[0] < growth.step:
        change = changed_gate(at(steps[0]), at(growth.step)) if growth.step in gates else None
    change = change or changed_gate(at(steps[0]), at(steps[-1]))
    return None if change is None else change._asdict()
