"""NARX network: delay lines of past inputs and of the network's own past outputs.

    h_t = tanh(W [x_t, ..., x_{t-Kx}] + V [y_{t-1}, ..., y_{t-Ky}] + b)
    y_t = U h_t + c

Nonlinear autoregressive with exogenous inputs: Narendra & Parthasarathy 1990,
"Identification and control of dynamical systems using neural networks"; as a recurrent
network whose output delays are short cuts for the gradient: Lin, Horne, Tino & Giles
1996, "Learning long-term dependencies in NARX recurrent neural networks".

Series-parallel: a teacher puts the true past outputs into the line, and no gradient
flows through time. Parallel: the network reads its own outputs. For tasks with classes
the network feeds back softmax(y), as the teacher's outputs are one-hot.

Parameters: ((Kx+1)*I + Ky*O + 1)*H + (H+1)*O.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, no_matrices
from rnnexp.cells.delay_line import push, taps
from rnnexp.cells.initializers import glorot_uniform
from rnnexp.core.errors import require_at_least, require_choice
from rnnexp.core.types import Array, Key, Params, State

FEEDBACKS = ("identity", "softmax")


def narx(
    input_size: int,
    hidden_size: int,
    *,
    input_delay_steps: int = 8,
    output_delay_steps: int = 8,
    feedback: str = "identity",
    output_size: int = 1,
) -> Cell:
    """A NARX network: one hidden layer with its own readout, the only layer of its stack.

    Weights: Glorot uniform over the whole window; biases 0.

    Args:
      input_delay_steps: Kx, number of past inputs; 0 or more.
      output_delay_steps: Ky, number of past outputs; 1 or more.
      feedback: identity, or softmax for tasks with classes.
      output_size: O, the outputs of the task.
    """
    require_choice("feedback", feedback, FEEDBACKS)
    require_at_least(0, input_delay_steps=input_delay_steps)
    require_at_least(1, output_delay_steps=output_delay_steps)
    window_size = (input_delay_steps + 1) * input_size + output_delay_steps * output_size

    def init(key: Key) -> Params:
        key_in, key_out = jax.random.split(key)
        return {
            "w": glorot_uniform(key_in, (window_size, hidden_size)),
            "b": jnp.zeros(hidden_size),
            "w_y": glorot_uniform(key_out, (hidden_size, output_size)),
            "b_y": jnp.zeros(output_size),
        }

    def init_state(params: Params) -> State:
        dtype = params["b"].dtype
        return {
            "h": jnp.zeros(hidden_size, dtype),
            "x_line": jnp.zeros((input_delay_steps, input_size), dtype),
            "y_line": jnp.zeros((output_delay_steps - 1, output_size), dtype),
            "taught": jnp.zeros(output_size + 1, dtype),
        }

    def output(params: Params, state: State, x_I: Array) -> Array:
        del x_I
        y_O: Array = state["h"] @ params["w_y"] + params["b_y"]
        return y_O

    def transition(params: Params, state: State, x_I: Array) -> State:
        y = output(params, state, x_I)
        y = jax.nn.softmax(y) if feedback == "softmax" else y
        # The last entry is 1 if there is a teacher; the others are then the true outputs.
        y_past = jnp.where(state["taught"][-1] > 0, state["taught"][:-1], y)
        window = jnp.concatenate([taps(x_I, state["x_line"]), taps(y_past, state["y_line"])])
        return {
            "h": jnp.tanh(window @ params["w"] + params["b"]),
            "x_line": push(state["x_line"], x_I),
            "y_line": push(state["y_line"], y_past),
            "taught": jnp.zeros_like(state["taught"]),
        }

    return Cell(
        name="narx",
        input_size=input_size,
        output_size=output_size,
        init=init,
        init_state=init_state,
        transition=transition,
        output=output,
        recurrent_matrices=no_matrices,  # through the output: the rank of V U is at most O
        parameter_count=(window_size + 1) * hidden_size + (hidden_size + 1) * output_size,
        delay_steps=max(input_delay_steps, output_delay_steps),
        feedback="taught",
        is_network=True,
    )
