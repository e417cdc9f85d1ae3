"""Independently recurrent network (IndRNN): every unit reads only its own past.

    h_t = relu(W_x x_t + u * h_{t-1} + b),   |u_i| <= gamma^(1/T)

* is element by element. The Jacobian of a step is diagonal, so over T steps the gradient
of an active unit grows by at most gamma. Li, Li, Cook, Zhu & Gao 2018,
"Independently recurrent neural network (IndRNN): building a longer and deeper RNN".
Units mix only across layers, so stack two or more.

The forward pass clips u to the bound, so a weight beyond it has gradient 0. (The authors
overwrite u after every update instead.)

Parameters: I*H + 2*H.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, zero_state
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Key, Params, State

STARTS = ("uniform", "long")
INPUT_STDDEV = 0.001  # the authors' code for the adding problem


def indrnn(
    input_size: int,
    hidden_size: int,
    *,
    longest_steps: int = 0,
    gamma: float = 2.0,
    start: str = "uniform",
) -> Cell:
    """An IndRNN cell.

    Weights, from the paper and its code: u uniform as `start` says, W_x Gaussian of
    standard deviation 0.001, b 0.

    Args:
      longest_steps: T of the bound, the longest time span in steps; 0: no end, bound 1.
      gamma: largest growth of a gradient over that span, at least 1.
      start: range of u, uniform (0 to gamma^(1/T), every time scale) or long (gamma^(-1/T)
        to gamma^(1/T), long ones alone; needs `longest_steps`). The paper takes long for
        the last layer where only the last output counts.
    """
    require_choice("start", start, STARTS)
    if longest_steps < 0:
        raise UsageError(f"longest_steps must be 0 (no end) or positive, not {longest_steps}")
    require_at_least(1, gamma=gamma)
    if start == "long" and longest_steps == 0:
        raise UsageError("start 'long' needs longest_steps, the time span in steps")
    bound = gamma ** (1 / longest_steps) if longest_steps else 1.0
    lowest = 1 / bound if start == "long" else 0.0

    def init(key: Key) -> Params:
        key_x, key_u = jax.random.split(key)
        return {
            "w_x": INPUT_STDDEV * jax.random.normal(key_x, (input_size, hidden_size)),
            "u": jax.random.uniform(key_u, (hidden_size,), minval=lowest, maxval=bound),
            "b": jnp.zeros(hidden_size),
        }

    def bounded(params: Params) -> Array:
        """u as it is used, (H,)."""
        return jnp.clip(params["u"], -bound, bound)

    def transition(params: Params, state: State, x_I: Array) -> State:
        h = bounded(params) * state["h"]
        return {"h": jax.nn.relu(x_I @ params["w_x"] + h + params["b"])}

    def recurrent_matrices(params: Params) -> dict[str, Array]:
        return {"u": jnp.diag(bounded(params))}

    def kernel_weights(params: Params) -> Params:
        return {"w_x": params["w_x"], "b": params["b"], "p": bounded(params)[None]}

    return Cell(
        name="indrnn",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=zero_state(hidden_size, "h"),
        transition=transition,
        kernel="indrnn",
        kernel_weights=kernel_weights,
        recurrent_matrices=recurrent_matrices,
        parameter_count=(input_size + 2) * hidden_size,
    )
