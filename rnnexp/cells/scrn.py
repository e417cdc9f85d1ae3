"""Structurally constrained recurrent network (SCRN): slow context units beside a fast layer.

    s_t = (1 - alpha) * B x_t + alpha * s_{t-1}
    h_t = sigma(P s_t + A x_t + R h_{t-1})

sigma is the logistic function, element by element. The context s is a leaky average of
the inputs, linear and without mixing, so its gradient shrinks by exactly alpha a step.
The layer above sees both: y_t = (h_t, s_t). Mikolov, Joulin, Chopra, Mathieu &
Ranzato 2015, "Learning longer memory in recurrent neural networks", equations 3 to 5.

Parameters: (I + H)*(H + C) with C context units; no biases, as in the paper.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Params, State

STDDEV = 0.05  # the authors' code


def scrn(input_size: int, hidden_size: int, *, context_size: int = 0, alpha: float = 0.95) -> Cell:
    """An SCRN cell; its output has hidden_size + context_size features.

    Weights: Gaussian of standard deviation 0.05, as in the authors' code; A is `w_x`, B
    `w_xs`, P `w_sh` and R `w_h`. States start at 0.

    Args:
      context_size: number of context units; 0: half of the hidden ones, at least one.
      alpha: fraction of a context unit that a step keeps, between 0 and 1; not trained.
    """
    if context_size < 0:
        raise UsageError(f"context_size must be 0 (half of hidden_size) or more: {context_size}")
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must lie between 0 and 1, not {alpha}")
    H, C = hidden_size, context_size or max(1, hidden_size // 2)

    def init(key: Key) -> Params:
        shapes = {"w_x": (input_size, H), "w_xs": (input_size, C), "w_sh": (C, H), "w_h": (H, H)}
        keys = jax.random.split(key, len(shapes))
        return {
            name: STDDEV * jax.random.normal(k, shape)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def init_state(params: Params) -> State:
        dtype = params["w_h"].dtype
        return {"h": jnp.zeros(H, dtype), "s": jnp.zeros(C, dtype)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        s = (1.0 - alpha) * (x_I @ params["w_xs"]) + alpha * state["s"]
        h = jax.nn.sigmoid(s @ params["w_sh"] + x_I @ params["w_x"] + state["h"] @ params["w_h"])
        return {"h": h, "s": s}

    def output(params: Params, state: State, x_I: Array) -> Array:
        del params, x_I
        return jnp.concatenate([state["h"], state["s"]])

    return Cell(
        name="scrn",
        input_size=input_size,
        output_size=H + C,
        init=init,
        init_state=init_state,
        transition=transition,
        output=output,
        probed=("h", "s"),
        recurrent_matrices=gate_blocks(w_h=()),
        parameter_count=(input_size + H) * (H + C),
    )
