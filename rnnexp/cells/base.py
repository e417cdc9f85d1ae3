"""The cell contract: a value made of pure functions, written for one example.

A cell's step is split in two, `transition` (the recurrence) and `output` (what the
layer above sees of the new state). The split is what lets a probe sit on the state
*between* them, so that dL/dh_t counts both ways in which h_t acts on the loss: through
the output at t and through every later step.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rnnexp.types import Array, Key, Params, State


def no_gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
    """The gates of a cell that has none."""
    del params, state, x_I
    return {}


def hidden_output(params: Params, state: State, x_I: Array) -> Array:
    """The usual output: the hidden state itself."""
    del params, x_I
    return state["h"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A recurrent cell with its sizes closed over.

    Attributes:
      name: what the table calls it.
      input_size, output_size: features of `x` and of `y`.
      init: `key -> params`, a dict of arrays.
      init_state: `params -> state`, a dict of arrays of the same dtype.
      transition: `(params, state, x) -> state`, structure and dtypes kept.
      output: `(params, new_state, x) -> y`.
      gates: `(params, state, x) -> {name: activation}` of the step that would follow,
        each in [0, 1]; empty for cells without gates.
      parameter_count: number of trainable scalars, from the closed formula.
      hidden: the name of the state's leaf that is the hidden state.
    """

    name: str
    input_size: int
    output_size: int
    init: Callable[[Key], Params]
    init_state: Callable[[Params], State]
    transition: Callable[[Params, State, Array], State]
    output: Callable[[Params, State, Array], Array] = hidden_output
    gates: Callable[[Params, State, Array], dict[str, Array]] = no_gates
    parameter_count: int
    hidden: str = "h"

    def step(self, params: Params, state: State, x_I: Array) -> tuple[State, Array]:
        """One step of one example: `(state, x) -> (state, y)`."""
        new_state = self.transition(params, state, x_I)
        return new_state, self.output(params, new_state, x_I)
