"""Placement of a training state on the devices of a run."""

from rnnexp.runtime.mesh import DIVIDED, WHOLE, divide, place
from rnnexp.train.program import TrainState

STATE = TrainState(WHOLE, WHOLE, WHOLE, WHOLE, DIVIDED)
"""The partition of a training state: `carry` is divided along axis 0, the rest is whole."""


def place_state(devices: int, state: TrainState) -> TrainState:
    """A training state placed as `STATE` says."""
    whole: TrainState = place(devices, state._replace(carry=[]))
    return whole._replace(carry=divide(devices, state.carry))
