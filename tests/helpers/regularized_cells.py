"""Small cells off their special starting values, and their trajectories on a batch."""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params
from rnnexp.scan.unroll import Trajectory, initial_state, unroll
from tests.helpers.noisy_params import noisy_params

T, B, I, H = 9, 3, 2, 4  # noqa: E741


LENGTHS = jnp.array([9, 4, 6], jnp.int32)


def drawn(cell: Cell) -> Params:
    """Parameters off their special starting values."""
    return noisy_params(cell, 0.1, seed=3)


def trajectory_of(cell: Cell, params: Params, lengths: Array | None = None) -> Trajectory:
    """What the cell does on a fixed batch."""

    @jax.jit
    def followed(params: Params) -> Trajectory:
        x = jax.random.normal(jax.random.key(1), (T, B, I))
        start = initial_state(cell, params, B)
        run = unroll(cell, params, x, lengths_B=lengths, state=start, keep_states=True)
        assert run.states is not None
        return Trajectory(x, start, run.states)

    trajectory: Trajectory = followed(params)
    return trajectory
