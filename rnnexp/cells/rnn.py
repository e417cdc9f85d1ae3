"""Elman network, with the identity-initialised IRNN as an option.

    h_t = f(W_x x_t + W_h h_{t-1} + b)

Elman 1990, "Finding structure in time". With `start="identity"` and
`activation="relu"` it is the IRNN of Le, Jaitly & Hinton 2015, "A simple way to
initialize recurrent networks of rectified linear units". With `activation="linear"`
the Jacobian of a step is W_h, so with `recurrent_scale=c` the adjoint's norm shrinks by
exactly c a step, which the tests of gradients use. With `start="gaussian"` the network is
chaotic without input for scales above 1, in the limit of many units: Sompolinsky, Crisanti &
Sommers 1988, "Chaos in random neural networks".

Parameters: I*H + H*H + H.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.activations import find_activation
from rnnexp.cells.base import Cell, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.cells.initializers import glorot_uniform, orthogonal
from rnnexp.core.errors import require_choice
from rnnexp.core.types import Array, Key, Params, State

STARTS = ("orthogonal", "identity", "gaussian")
IRNN_INPUT_STDDEV = 0.001  # Le, Jaitly & Hinton 2015, section 4


def rnn(
    input_size: int,
    hidden_size: int,
    *,
    activation: str = "tanh",
    start: str = "orthogonal",
    recurrent_scale: float = 1.0,
) -> Cell:
    """An Elman cell.

    Args:
      activation: tanh, relu, sigmoid or linear.
      start: initial W_h before scaling: orthogonal (with Glorot uniform W_x), identity (with
        Gaussian W_x of standard deviation 0.001), or gaussian: of variance 1 / hidden_size (with
        W_x of variance 1 / input_size).
      recurrent_scale: factor of the initial W_h.
    """
    f = find_activation(activation)
    require_choice("start", start, STARTS)

    def init(key: Key) -> Params:
        key_x, key_h = jax.random.split(key)
        if start == "identity":
            w_x = IRNN_INPUT_STDDEV * jax.random.normal(key_x, (input_size, hidden_size))
            w_h = jnp.eye(hidden_size)
        elif start == "gaussian":
            w_x = jax.random.normal(key_x, (input_size, hidden_size)) / input_size**0.5
            w_h = jax.random.normal(key_h, (hidden_size, hidden_size)) / hidden_size**0.5
        else:
            w_x = glorot_uniform(key_x, (input_size, hidden_size))
            w_h = orthogonal(key_h, (hidden_size, hidden_size))
        return {"w_x": w_x, "w_h": recurrent_scale * w_h, "b": jnp.zeros(hidden_size)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        return {"h": f(x_I @ params["w_x"] + state["h"] @ params["w_h"] + params["b"])}

    return Cell(
        name="rnn",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=zero_state(hidden_size, "h"),
        transition=transition,
        kernel=None if activation == "sigmoid" else activation,
        recurrent_matrices=gate_blocks(w_h=()),
        parameter_count=(input_size + hidden_size + 1) * hidden_size,
    )
