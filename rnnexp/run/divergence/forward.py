"""The first state that is not finite in the forward pass of a training step, on its own batch.

A loss that is not finite says nothing of where that began, and its backward pass gives NaN for
every adjoint. So the forward pass is run once more, with all states kept.
"""

import logging
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import first_line
from rnnexp.core.masking import reverse_valid, valid_steps
from rnnexp.core.types import Array, Tree
from rnnexp.gradflow.nonfinite import find_forward_origin
from rnnexp.run.divergence.gates import lane_of, trajectories_of_step, whole_inputs
from rnnexp.runtime.mesh import process_count
from rnnexp.train.plan import Plan
from rnnexp.train.program import Recipe, TrainState
from rnnexp.train.step import Lane

log = logging.getLogger("rnnexp")


class ForwardMasks(NamedTuple):
    """Where a forward pass is not finite for any example, in the order of the sequence: the
    inputs, (T,), and of each unit by state leaf the states, (T,)."""

    inputs_T: Array
    states: list[dict[str, Array]]


class ForwardPass:
    """Forward passes of a recipe's runs with all states kept; compiled once."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self._program = jax.jit(partial(_masks_of_step, recipe), static_argnums=0)

    def origin(self, plan: Plan, state: TrainState, arrays: Tree) -> dict[str, Any] | None:
        """The first state that is not finite at the step that follows `state`.

        Args:
          arrays: the training set's arrays.

        Returns:
          The data of `Origin`, and under `input_time` the first time step whose input is not
          finite (None: all are). None if all states are finite; also, with a line in the log,
          if several processes compute the run, or the device has no memory for the states.
        """
        if process_count() > 1:
            log.info("a run of several processes does not record where its forward pass failed")
            return None
        lane = lane_of(plan, state)
        try:
            bucket = int(whole_inputs(self.recipe, lane, arrays)[0])
            masks: ForwardMasks = jax.device_get(self._program(bucket, lane, arrays))
        except jax.errors.JaxRuntimeError as error:
            log.warning("where the forward pass failed is not recorded: %s", first_line(error))
            return None
        if (found := find_forward_origin(masks.states, plan.units)) is None:  # type: ignore[arg-type]
            return None
        at = np.flatnonzero(masks.inputs_T)
        return found._asdict() | {"input_time": int(at[0]) if at.size else None}


def _masks_of_step(recipe: Recipe, bucket: int, lane: Lane, arrays: Tree) -> ForwardMasks:
    """The masks of the step that follows `lane.state`."""
    batch, units = trajectories_of_step(recipe, bucket, lane, arrays)
    states = []
    for unit, seen, lengths_B in units:
        masks = {}
        for leaf, values in seen.states.items():
            bad_TxB = _nonfinite(values, lengths_B)
            if unit.backward:
                bad_TxB = reverse_valid(bad_TxB, lengths_B)
            masks[leaf] = jnp.any(bad_TxB, 1)
        states.append(masks)
    return ForwardMasks(jnp.any(_nonfinite(batch.inputs_TxBxI, batch.lengths_B), 1), states)


def _nonfinite(values_TxB: Array, lengths_B: Array | None) -> Array:
    """Which valid steps of which examples hold a number that is not finite, (T, B)."""
    bad_TxB = jnp.any(~jnp.isfinite(values_TxB), tuple(range(2, values_TxB.ndim)))
    return bad_TxB & valid_steps(bad_TxB.shape[0], lengths_B)
