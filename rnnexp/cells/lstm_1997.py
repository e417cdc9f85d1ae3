"""The LSTM of 1997: memory cells in blocks that share their gates, and no forget gate.

    z_t = W_x x_t + W_h h_{t-1} + W_a a_{t-1} + b
    i_t = s(z_i)    o_t = s(z_o)    a_t = (i_t, o_t)      one of each for a block
    g_t = 4 s(z_c) - 2                                    one for a cell
    c_t = c_{t-1} + i_t * g_t
    h_t = o_t * (2 s(c_t) - 1)

s is the logistic function; the gates of a block act on all of its cells. The hidden layer is fully
connected, its gates included, so that gates read the gates of the step before. Hochreiter &
Schmidhuber 1997, "Long short-term memory", whose experiments 4 to 6 have networks of this form with
93, 156 and 308 weights. Without a forget gate c only adds up: as far as W_h and W_a are not
involved, dc_t/dc_s is exactly 1 over any lag (the constant error carousel).

The paper cuts the gradient where it would go back in time through what units read of each other
(appendix A.1): W_h and W_a learn from h_{t-1} and a_{t-1}, which pass nothing on. With `truncated`
that is so here, and dc_t/dc_s is exactly 1 in every network; else the gradient is the whole one.

Parameters: (N + 2 B) (I + N + 2 B + 1) with N cells in B blocks.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Array, Key, Params, State


def lstm_1997(
    input_size: int,
    hidden_size: int,
    *,
    block_size: int = 2,
    input_bias: float = -1.0,
    output_bias: float = 0.0,
    start: float = 0.1,
    truncated: bool = False,
) -> Cell:
    """An LSTM cell without forget gates. `hidden_size` counts memory cells.

    Weights and the biases of cells: U(-start, start).

    Args:
      block_size: memory cells that share an input and an output gate; the last block has what
        is left.
      input_bias: initial bias of the first block's input gate; that of block k is k times as
        much, so that blocks open one after another.
      output_bias: the same of output gates.
      start: weights are drawn from U(-start, start).
      truncated: the gradient goes back in time through c alone, as in the paper.
    """
    require_at_least(1, of="lstm_1997", block_size=block_size)
    require_at_least(0, of="lstm_1997", start=start)
    N = hidden_size
    blocks = -(-N // block_size)
    block_N = jnp.arange(N) // block_size
    units = 2 * blocks + N
    parts = (blocks, 2 * blocks)

    def init(key: Key) -> Params:
        rows = {"w_x": input_size, "w_h": N, "w_a": 2 * blocks}
        keys = jax.random.split(key, len(rows) + 1)
        params = {
            name: jax.random.uniform(part, (size, units), minval=-start, maxval=start)
            for part, (name, size) in zip(keys, rows.items(), strict=False)
        }
        of_cells = jax.random.uniform(keys[-1], (N,), minval=-start, maxval=start)
        steps = jnp.arange(1.0, blocks + 1)
        params["b"] = jnp.concatenate([input_bias * steps, output_bias * steps, of_cells])
        return params

    def init_state(params: Params) -> State:
        dtype = params["b"].dtype
        return {
            "c": jnp.zeros(N, dtype), "h": jnp.zeros(N, dtype), "a": jnp.zeros(2 * blocks, dtype)
        }  # fmt: skip

    def activations(params: Params, state: State, x_I: Array) -> tuple[Array, Array, Array]:
        """The blocks' input and output gates, and what the cells take in."""
        h, a = state["h"], state["a"]
        if truncated:
            h, a = jax.lax.stop_gradient((h, a))
        recurrent = h @ params["w_h"] + a @ params["w_a"]
        z_i, z_o, z_c = jnp.split(x_I @ params["w_x"] + recurrent + params["b"], parts)
        return jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_o), 4.0 * jax.nn.sigmoid(z_c) - 2.0

    def transition(params: Params, state: State, x_I: Array) -> State:
        i, o, g = activations(params, state, x_I)
        c = state["c"] + i[block_N] * g
        h = o[block_N] * (2.0 * jax.nn.sigmoid(c) - 1.0)
        return {"c": c, "h": h, "a": jnp.concatenate([i, o])}

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        i, o, _ = activations(params, state, x_I)
        return {"input": i[block_N], "output": o[block_N]}

    return Cell(
        name="lstm_1997",
        input_size=input_size,
        output_size=N,
        init=init,
        init_state=init_state,
        transition=transition,
        gates=gates,
        probed=("h", "c", "a"),
        recurrent_matrices=lambda params: {"w_h/c": params["w_h"][:, 2 * blocks :]},
        parameter_count=units * (input_size + units + 1),
    )
