"""Minimal gated unit (MGU): a GRU with one gate in place of reset and update gate.

    f_t = s(W_f x_t + U_f h_{t-1} + b_f)
    n_t = tanh(W_n x_t + U_n (f_t * h_{t-1}) + b_n)
    h_t = (1 - f_t) * h_{t-1} + f_t * n_t

s is the logistic function, * element by element. Zhou, Wu, Zhang & Zhou 2016, "Minimal
gated unit for recurrent neural networks", who call f the forget gate: at 1 the old
state is replaced, at 0 it is kept.

Parameters: 2*(I*H + H*H + H).
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.cells.initializers import glorot_uniform, orthogonal, per_gate
from rnnexp.core.types import Array, Key, Params, State


def minimal_gated(input_size: int, hidden_size: int, *, forget_bias: float = 0.0) -> Cell:
    """A minimal gated unit.

    Weights: Glorot uniform input and orthogonal recurrent kernels, block by block (order
    f, n); biases 0 but for `forget_bias`.

    Args:
      forget_bias: initial b_f; the more negative, the longer the memory.
    """
    H = hidden_size

    def init(key: Key) -> Params:
        key_x, key_h = jax.random.split(key)
        return {
            "w_x": per_gate(glorot_uniform, key_x, input_size, H, 2),
            "w_h": per_gate(orthogonal, key_h, H, H, 2),
            "b": jnp.zeros(2 * H).at[:H].set(forget_bias),
        }

    def activations(params: Params, state: State, x_I: Array) -> tuple[Array, Array]:
        """f_t and n_t."""
        h = state["h"]
        x_f, x_n = jnp.split(x_I @ params["w_x"] + params["b"], 2)
        u_f, u_n = jnp.split(params["w_h"], 2, axis=1)
        f = jax.nn.sigmoid(x_f + h @ u_f)
        return f, jnp.tanh(x_n + (f * h) @ u_n)

    def transition(params: Params, state: State, x_I: Array) -> State:
        f, n = activations(params, state, x_I)
        return {"h": (1.0 - f) * state["h"] + f * n}

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        f, _ = activations(params, state, x_I)
        return {"forget": f}

    return Cell(
        name="minimal_gated",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=zero_state(H, "h"),
        transition=transition,
        gates=gates,
        kept_fraction=lambda gates: 1.0 - gates["forget"],
        kernel="minimal_gated",
        recurrent_matrices=gate_blocks(w_h=("f", "n")),
        parameter_count=2 * (input_size + H + 1) * H,
    )
