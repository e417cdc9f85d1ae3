"""Coupled oscillatory RNN (coRNN): every unit is a damped, driven oscillator.

    z_t = z_{t-1} + dt * (tanh(W_y y_{t-1} + W_z z_{t-1} + V x_t + b)
                          - gamma * y_{t-1} - epsilon * z_{t-1})
    y_t = y_{t-1} + dt * z_t

An implicit-explicit Euler step of y'' = tanh(W_y y + W_z y' + V x + b) - gamma y -
epsilon y'. Rusch & Mishra 2021, "Coupled oscillatory recurrent neural network (coRNN):
an accurate and (gradient) stable architecture for learning long time dependencies",
equation 3 with the damping explicit, as in its experiments. The position y is the
hidden state `h`, the velocity is `z`.

Parameters: I*H + 2*H*H + H.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Key, Params, State


def cornn(
    input_size: int,
    hidden_size: int,
    *,
    dt: float = 0.042,
    gamma: float = 2.7,
    epsilon: float = 4.7,
) -> Cell:
    """A coRNN cell; the defaults are the paper's for sequential MNIST.

    Weights and biases: uniform in +-1/sqrt(d), d = I + 2*H being the inputs of the
    affine map in the tanh, as in the paper.

    Args:
      dt: time step, positive.
      gamma: square of every oscillator's frequency, at least 0.
      epsilon: damping, at least 0.
    """
    if dt <= 0:
        raise UsageError(f"dt must be positive, not {dt}")
    require_at_least(0, gamma=gamma, epsilon=epsilon)

    def init(key: Key) -> Params:
        limit = (input_size + 2 * hidden_size) ** -0.5
        shapes = {
            "w_x": (input_size, hidden_size),
            "w_h": (hidden_size, hidden_size),
            "w_z": (hidden_size, hidden_size),
            "b": (hidden_size,),
        }
        keys = jax.random.split(key, len(shapes))
        return {
            name: jax.random.uniform(k, shape, minval=-limit, maxval=limit)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def transition(params: Params, state: State, x_I: Array) -> State:
        y, z = state["h"], state["z"]
        drive = jnp.tanh(x_I @ params["w_x"] + y @ params["w_h"] + z @ params["w_z"] + params["b"])
        z = z + dt * (drive - gamma * y - epsilon * z)
        return {"h": y + dt * z, "z": z}

    return Cell(
        name="cornn",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=zero_state(hidden_size, "h", "z"),
        transition=transition,
        probed=("h", "z"),
        recurrent_matrices=gate_blocks(w_h=(), w_z=()),
        parameter_count=(input_size + 2 * hidden_size + 1) * hidden_size,
    )
