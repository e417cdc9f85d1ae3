"""Clockwork recurrent network: modules of units that tick at periods 1, 2, 4, ...

    h_t = tanh(W_x x_t + W_h h_{t-1} + b)    in modules whose period divides t
    h_t = h_{t-1}                            in the others

Module k (from 0) has the period 2^k and reads itself and the slower modules, k' >= k,
so W_h is block triangular. Steps count from 0: all modules tick at the first one.
Koutnik, Greff, Gomez & Schmidhuber 2014, "A clockwork RNN", equations 1 to 4 (the bias
is ours). The state's leaf `t` counts the steps done.

Only the nonzero blocks are parameters: `prepare` puts them into `w_h` = W_h^T, (H, H).
With H_k units in module k: I*H + sum over k' >= k of H_k * H_k' + H parameters. Every
step computes all modules and discards those that do not tick, so it saves no time, unlike
the paper's.
"""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Params, State

STDDEV = 0.1  # of all initial weights: Koutnik et al. 2014, section 4


def module_sizes(hidden_size: int, modules: int) -> list[int]:
    """Units of every module, fastest first; the fastest share the remainder."""
    each, more = divmod(hidden_size, modules)
    return [each + (k < more) for k in range(modules)]


def clockwork(input_size: int, hidden_size: int, *, modules: int = 4) -> Cell:
    """A clockwork cell.

    Weights: Gaussian of standard deviation 0.1; biases 0.

    Args:
      modules: number of groups of units; the slowest ticks every 2^(modules - 1) steps.
    """
    if not 1 <= modules <= hidden_size:
        raise UsageError(f"modules must lie in 1 ... hidden_size = {hidden_size}, not {modules}")
    H = hidden_size
    module_H = np.repeat(np.arange(modules), module_sizes(H, modules))
    # h @ w_h: the row is the unit read from, the column the unit that reads
    rows, columns = np.nonzero(module_H[:, None] >= module_H[None, :])

    def init(key: Key) -> Params:
        key_x, key_h = jax.random.split(key)
        return {
            "w_x": STDDEV * jax.random.normal(key_x, (input_size, H)),
            "w_blocks": STDDEV * jax.random.normal(key_h, (len(rows),)),
            "b": jnp.zeros(H),
        }

    def prepare(params: Params) -> Params:
        blocks = params["w_blocks"]
        return {**params, "w_h": jnp.zeros((H, H), blocks.dtype).at[rows, columns].set(blocks)}

    def init_state(params: Params) -> State:
        zeros = jnp.zeros_like(params["b"])
        return {"h": zeros, "t": zeros[0]}

    def transition(params: Params, state: State, x_I: Array) -> State:
        if "w_h" not in params:
            params = prepare(params)
        h, t = state["h"], state["t"]
        new = jnp.tanh(x_I @ params["w_x"] + h @ params["w_h"] + params["b"])
        periods_H = jnp.asarray(2.0**module_H, t.dtype)
        return {"h": jnp.where(jnp.mod(t, periods_H) == 0, new, h), "t": t + 1.0}

    return Cell(
        name="clockwork",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=init_state,
        transition=transition,
        prepare=prepare,
        counters=("t",),
        recurrent_matrices=gate_blocks(w_h=()),
        parameter_count=input_size * H + len(rows) + H,
    )
