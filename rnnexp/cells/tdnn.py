"""Time-delay network: a delay line in every layer but the output, no recurrence.

    h_t = f(W [x_t, x_{t-1}, ..., x_{t-K}] + b)        first layer
    h_t = f(W x_t + b)                                  layers above
    y_t = [h_t, h_{t-1}, ..., h_{t-K}]

The layer above, or the readout, sees the last K + 1 activations y_t, so only the first
layer needs a delay line for its inputs. Waibel, Hanazawa, Hinton, Shikano & Lang 1989,
"Phoneme recognition using time-delay neural networks". There is no feedback: the gradient
of the loss at step t is exactly zero by h of the top layer before t - K, and by x before
t - K*(number of layers + 1).

Parameters: (K+1)*I*H + H in the first layer, I*H + H above (I is then (K+1)*H).
"""

import jax.numpy as jnp

from rnnexp.cells.activations import find_activation
from rnnexp.cells.base import Cell, no_matrices
from rnnexp.cells.delay_line import push, taps
from rnnexp.cells.initializers import glorot_uniform
from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Array, Key, Params, State


def tdnn(
    input_size: int,
    hidden_size: int,
    *,
    delay_steps: int = 8,
    activation: str = "tanh",
    layer: int = 0,
) -> Cell:
    """A layer with a delay line.

    Weights: Glorot uniform over the whole window; biases 0.

    Args:
      delay_steps: K, number of past activations.
      activation: tanh, relu, sigmoid or linear.
      layer: number of the layer; only layer 0 has a delay line for its inputs.
    """
    require_at_least(1, delay_steps=delay_steps)
    f = find_activation(activation)
    input_taps = delay_steps if layer == 0 else 0
    window_size = (input_taps + 1) * input_size

    def init(key: Key) -> Params:
        return {"w_x": glorot_uniform(key, (window_size, hidden_size)), "b": jnp.zeros(hidden_size)}

    def init_state(params: Params) -> State:
        dtype = params["b"].dtype
        return {
            "h": jnp.zeros(hidden_size, dtype),
            "h_line": jnp.zeros((delay_steps, hidden_size), dtype),
            "x_line": jnp.zeros((input_taps, input_size), dtype),
        }

    def transition(params: Params, state: State, x_I: Array) -> State:
        window = taps(x_I, state["x_line"])
        return {
            "h": f(window @ params["w_x"] + params["b"]),
            "h_line": push(state["h_line"], state["h"]),
            "x_line": push(state["x_line"], x_I),
        }

    def output(params: Params, state: State, x_I: Array) -> Array:
        del params, x_I
        return taps(state["h"], state["h_line"])

    return Cell(
        name="tdnn",
        input_size=input_size,
        output_size=(delay_steps + 1) * hidden_size,
        init=init,
        init_state=init_state,
        transition=transition,
        output=output,
        recurrent_matrices=no_matrices,
        parameter_count=(window_size + 1) * hidden_size,
        delay_steps=delay_steps,
    )
