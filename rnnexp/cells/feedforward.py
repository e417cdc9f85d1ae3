"""Feed-forward layer: the baseline without memory.

    h_t = f(W_x x_t + b)

The state is the last activation, which the next step never reads: dL/dh_t is exactly
zero unless the loss reads step t itself.

Parameters: I*H + H.
"""

import jax.numpy as jnp

from rnnexp.cells.activations import find_activation
from rnnexp.cells.base import Cell, no_matrices, zero_state
from rnnexp.cells.initializers import glorot_uniform
from rnnexp.core.types import Array, Key, Params, State


def feedforward(input_size: int, hidden_size: int, *, activation: str = "tanh") -> Cell:
    """A layer that sees only x_t.

    Weights: Glorot uniform; biases 0.

    Args:
      activation: tanh, relu, sigmoid or linear.
    """
    f = find_activation(activation)

    def init(key: Key) -> Params:
        return {"w_x": glorot_uniform(key, (input_size, hidden_size)), "b": jnp.zeros(hidden_size)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        del state
        return {"h": f(x_I @ params["w_x"] + params["b"])}

    return Cell(
        name="feedforward",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=zero_state(hidden_size, "h"),
        transition=transition,
        recurrent_matrices=no_matrices,
        parameter_count=input_size * hidden_size + hidden_size,
    )
