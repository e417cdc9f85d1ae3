"""Long short-term memory, with peepholes and chrono initialisation as options.

    i_t = s(W_i x_t + U_i h_{t-1} + p_i * c_{t-1} + b_i)
    f_t = s(W_f x_t + U_f h_{t-1} + p_f * c_{t-1} + b_f)
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
    c_t = f_t * c_{t-1} + i_t * g_t
    o_t = s(W_o x_t + U_o h_{t-1} + p_o * c_t + b_o)
    h_t = o_t * tanh(c_t)

s is the logistic function, * element by element; the p terms only with `peepholes`.
Hochreiter & Schmidhuber 1997, "Long short-term memory"; forget gate: Gers,
Schmidhuber & Cummins 2000, "Learning to forget"; peepholes: Gers, Schraudolph &
Schmidhuber 2002, "Learning precise timing with LSTM recurrent networks"; forget bias
1: Jozefowicz, Zaremba & Sutskever 2015; chrono: Tallec & Ollivier 2018.

Parameters: 4*(I*H + H*H + H), and 3*H more with peepholes.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.cells.initializers import chrono_biases, glorot_uniform, orthogonal, per_gate
from rnnexp.errors import UsageError
from rnnexp.types import Array, Key, Params, State

GATES = ("i", "f", "g", "o")
"""The order of the blocks in every kernel and bias."""


def lstm(
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float = 1.0,
    peepholes: bool = False,
    chrono_steps: int = 0,
) -> Cell:
    """An LSTM cell.

    Weights: Glorot uniform input and orthogonal recurrent kernels, gate by gate;
    peepholes 0; biases 0 but for the forget gate.

    Args:
      forget_bias: where the forget gate's bias starts.
      peepholes: let the gates see the cell state.
      chrono_steps: longest time constant of the chrono initialisation, in steps (3 or
        more); it then sets the forget and input biases. 0: off.
    """
    if chrono_steps != 0 and chrono_steps < 3:
        raise UsageError(f"chrono_steps must be 0 (off) or at least 3, not {chrono_steps}")

    def init(key: Key) -> Params:
        key_x, key_h, key_b = jax.random.split(key, 3)
        b = jnp.zeros((4, hidden_size))
        if chrono_steps:
            b_f = chrono_biases(key_b, hidden_size, chrono_steps)
            b = b.at[0].set(-b_f).at[1].set(b_f)
        else:
            b = b.at[1].set(forget_bias)
        params = {
            "w_x": per_gate(glorot_uniform, key_x, input_size, hidden_size, 4),
            "w_h": per_gate(orthogonal, key_h, hidden_size, hidden_size, 4),
            "b": b.reshape(4 * hidden_size),
        }
        if peepholes:
            params["p"] = jnp.zeros((3, hidden_size))
        return params

    def init_state(params: Params) -> State:
        zeros = jnp.zeros(hidden_size, params["b"].dtype)
        return {"c": zeros, "h": zeros}

    def activations(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        """All six quantities of a step, by the names of the equations above."""
        z = x_I @ params["w_x"] + state["h"] @ params["w_h"] + params["b"]
        z_i, z_f, z_g, z_o = jnp.split(z, 4)
        if peepholes:
            z_i = z_i + params["p"][0] * state["c"]
            z_f = z_f + params["p"][1] * state["c"]
        i, f, g = jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_f), jnp.tanh(z_g)
        c = f * state["c"] + i * g
        if peepholes:
            z_o = z_o + params["p"][2] * c
        o = jax.nn.sigmoid(z_o)
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * jnp.tanh(c)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        new = activations(params, state, x_I)
        return {"c": new["c"], "h": new["h"]}

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        new = activations(params, state, x_I)
        return {"input": new["i"], "forget": new["f"], "output": new["o"]}

    return Cell(
        name="lstm",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=init_state,
        transition=transition,
        gates=gates,
        parameter_count=(4 * (input_size + hidden_size + 1) + 3 * peepholes) * hidden_size,
    )
