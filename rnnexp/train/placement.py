"""Where the parts of a training state lie on the devices of a run."""

from rnnexp.runtime.mesh import DIVIDED, WHOLE, divide, place
from rnnexp.train.program import TrainState

STATE = TrainState(WHOLE, WHOLE, WHOLE, WHOLE, DIVIDED)
"""Which parts of a training state every device has whole; `carry` is divided, axis 0."""


def place_state(devices: int, state: TrainState) -> TrainState:
    """A training state where `STATE` has it."""
    whole: TrainState = place(devices, state._replace(carry=[]))
    return whole._replace(carry=divide(devices, state.carry))
