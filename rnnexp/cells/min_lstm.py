"""Minimal long short-term memory (minLSTM): its gates see the input alone and sum to one.

    f_t = s(W_f x_t + b_f),  i_t = s(W_i x_t + b_i)
    f'_t = f_t / (f_t + i_t),  i'_t = i_t / (f_t + i_t)
    n_t = g(W_n x_t + b_n)
    h_t = f'_t * h_{t-1} + i'_t * n_t

s is the logistic function, * element by element. The recurrence is linear in h, so a
whole sequence is one parallel scan. Feng, Tung, Hassani, Hamarneh & Ahmed 2024, "Were
RNNs all we needed?", section 3.2, the plain version: the state is h, not its logarithm,
so h may have either sign.

Parameters: 3*(I*H + H).
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, no_matrices, zero_state
from rnnexp.cells.initializers import glorot_uniform, per_gate
from rnnexp.cells.linear_scan import linear_paths
from rnnexp.cells.min_gru import CANDIDATES
from rnnexp.core.errors import require_choice
from rnnexp.core.types import Array, Key, Params, State


def min_lstm(
    input_size: int, hidden_size: int, *, candidate: str = "linear", forget_bias: float = 1.0
) -> Cell:
    """A minLSTM cell.

    Weights: Glorot uniform kernels, gate by gate (order f, i, n); biases 0 but for the
    forget gate. The paper states no initialisation, but says that a larger forget bias
    helps.

    Args:
      candidate: linear (g is the identity, the paper's plain version) or positive (g keeps
        the state positive, as in its log-space version).
      forget_bias: initial b_f.
    """
    require_choice("candidate", candidate, CANDIDATES)
    g = CANDIDATES[candidate]

    def init(key: Key) -> Params:
        return {
            "w_x": per_gate(glorot_uniform, key, input_size, hidden_size, 3),
            "b": jnp.zeros(3 * hidden_size).at[:hidden_size].set(forget_bias),
        }

    def activations(params: Params, x_I: Array) -> tuple[Array, Array, Array]:
        """f'_t, i'_t and n_t."""
        x_f, x_i, x_n = jnp.split(x_I @ params["w_x"] + params["b"], 3)
        # f / (f + i) = s(log f - log i), which is not 0/0 where both gates are closed
        ratio = jax.nn.log_sigmoid(x_f) - jax.nn.log_sigmoid(x_i)
        return jax.nn.sigmoid(ratio), jax.nn.sigmoid(-ratio), g(x_n)

    def coefficients(params: Params, x_I: Array) -> tuple[Array, Array]:
        f, i, n = activations(params, x_I)
        return f, i * n

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        del state
        f, i, _ = activations(params, x_I)
        return {"forget": f, "input": i}

    transition, states = linear_paths(coefficients)
    return Cell(
        name="min_lstm",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=zero_state(hidden_size, "h"),
        transition=transition,
        states=states,
        gates=gates,
        kept_fraction=lambda gates: gates["forget"],
        kernel="min_lstm" if candidate == "linear" else "min_lstm_positive",
        recurrent_matrices=no_matrices,  # the state's factor depends on the input
        parameter_count=3 * (input_size + 1) * hidden_size,
    )
