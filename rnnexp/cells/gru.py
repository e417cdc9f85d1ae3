"""Gated recurrent unit, with the reset gate before or after the recurrent product.

    r_t = s(W_r x_t + U_r h_{t-1} + b_r)
    z_t = s(W_z x_t + U_z h_{t-1} + b_z)
    n_t = tanh(W_n x_t + U_n (r_t * h_{t-1}) + b_n)            reset="before"
    n_t = tanh(W_n x_t + r_t * (U_n h_{t-1} + b_hn) + b_n)     reset="after"
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

s is the logistic function, * element by element. "before" is Cho et al. 2014,
"Learning phrase representations using RNN encoder-decoder", and Chung et al. 2014;
"after" is what cuDNN, PyTorch and flax.linen compute, one matrix product a step.

Parameters: 3*(I*H + H*H + H), and H more for b_hn with reset="after".
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.cells.initializers import glorot_uniform, orthogonal, per_gate
from rnnexp.core.errors import require_choice
from rnnexp.core.types import Array, Key, Params, State

RESETS = ("after", "before")


def gru(input_size: int, hidden_size: int, *, reset: str = "after") -> Cell:
    """A GRU cell.

    Weights: Glorot uniform input and orthogonal recurrent kernels, gate by gate
    (order r, z, n); biases 0.

    Args:
      reset: where the reset gate acts, after or before the recurrent product.
    """
    require_choice("reset", reset, RESETS)
    H = hidden_size

    def init(key: Key) -> Params:
        key_x, key_h = jax.random.split(key)
        params = {
            "w_x": per_gate(glorot_uniform, key_x, input_size, H, 3),
            "w_h": per_gate(orthogonal, key_h, H, H, 3),
            "b": jnp.zeros(3 * H),
        }
        if reset == "after":
            params["b_hn"] = jnp.zeros(H)
        return params

    def activations(params: Params, state: State, x_I: Array) -> tuple[Array, Array, Array]:
        """r_t, z_t and n_t."""
        h = state["h"]
        x_r, x_z, x_n = jnp.split(x_I @ params["w_x"] + params["b"], 3)
        if reset == "after":
            h_r, h_z, h_n = jnp.split(h @ params["w_h"], 3)
            r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
            return r, z, jnp.tanh(x_n + r * (h_n + params["b_hn"]))
        h_r, h_z = jnp.split(h @ params["w_h"][:, : 2 * H], 2)
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        return r, z, jnp.tanh(x_n + (r * h) @ params["w_h"][:, 2 * H :])

    def transition(params: Params, state: State, x_I: Array) -> State:
        _, z, n = activations(params, state, x_I)
        return {"h": (1.0 - z) * n + z * state["h"]}

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        r, z, _ = activations(params, state, x_I)
        return {"reset": r, "update": z}

    return Cell(
        name="gru",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=zero_state(H, "h"),
        transition=transition,
        gates=gates,
        kept_fraction=lambda gates: gates["update"],
        kernel="gru" if reset == "after" else "gru_before",
        recurrent_matrices=gate_blocks(w_h=("r", "z", "n")),
        parameter_count=3 * (input_size + H + 1) * H + (H if reset == "after" else 0),
    )
