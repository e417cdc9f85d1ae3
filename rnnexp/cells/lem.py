"""Long expressive memory (LEM): two states, each with its own learned time step.

    d_t = dt * s(W_1 y_{t-1} + V_1 x_t + b_1)
    e_t = dt * s(W_2 y_{t-1} + V_2 x_t + b_2)
    z_t = (1 - d_t) * z_{t-1} + d_t * tanh(W_z y_{t-1} + V_z x_t + b_z)
    y_t = (1 - e_t) * y_{t-1} + e_t * tanh(W_y z_t + V_y x_t + b_y)

s is the logistic function, * element by element. Rusch, Mishra, Erichson & Mahoney
2022, "Long expressive memory for sequence modeling", equation 3. The output y is the
hidden state `h`, the other state is `z`; the gates are the two logistic functions.

Parameters: 4*(I*H + H*H + H).
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Params, State


def lem(input_size: int, hidden_size: int, *, dt: float = 1.0) -> Cell:
    """A LEM cell.

    Weights and biases: uniform in +-1/sqrt(H), as in the authors' code. Blocks of `w_x`
    and `b` in the order of the equations; `w_h` reads y (three blocks), `w_z` reads z.

    Args:
      dt: the longest time step, positive; up to 1 both states stay within [-1, 1].
    """
    if dt <= 0:
        raise UsageError(f"dt must be positive, not {dt}")
    H = hidden_size

    def init(key: Key) -> Params:
        limit = H**-0.5
        shapes = {"w_x": (input_size, 4 * H), "w_h": (H, 3 * H), "w_z": (H, H), "b": (4 * H,)}
        keys = jax.random.split(key, len(shapes))
        return {
            name: jax.random.uniform(k, shape, minval=-limit, maxval=limit)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def activations(params: Params, state: State, x_I: Array) -> tuple[dict[str, Array], State]:
        """The gates and the new state."""
        y, z = state["h"], state["z"]
        x_1, x_2, x_z, x_y = jnp.split(x_I @ params["w_x"] + params["b"], 4)
        y_1, y_2, y_z = jnp.split(y @ params["w_h"], 3)
        gate_z, gate_y = jax.nn.sigmoid(x_1 + y_1), jax.nn.sigmoid(x_2 + y_2)
        d, e = dt * gate_z, dt * gate_y
        z = (1.0 - d) * z + d * jnp.tanh(x_z + y_z)
        y = (1.0 - e) * y + e * jnp.tanh(x_y + z @ params["w_z"])
        return {"time_step_z": gate_z, "time_step_h": gate_y}, {"h": y, "z": z}

    def transition(params: Params, state: State, x_I: Array) -> State:
        return activations(params, state, x_I)[1]

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        return activations(params, state, x_I)[0]

    return Cell(
        name="lem",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=zero_state(H, "h", "z"),
        transition=transition,
        gates=gates,
        probed=("h", "z"),
        recurrent_matrices=gate_blocks(w_h=("1", "2", "z"), w_z=()),
        parameter_count=4 * (input_size + H + 1) * H,
    )
