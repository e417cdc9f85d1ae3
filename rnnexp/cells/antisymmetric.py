"""Antisymmetric RNN: Euler steps of a differential equation that preserves distances.

    A = W - W^T - gamma * I,   W strictly upper triangular
    h_t = h_{t-1} + epsilon * z_t * tanh(A h_{t-1} + V_h x_t + b_h)
    z_t = s(A h_{t-1} + V_z x_t + b_z)                              with `gated`, else 1

s is the logistic function, * element by element. Every eigenvalue of A has real part
-gamma, so at gamma = 0 the linearised flow neither grows nor shrinks; the damping gamma
offsets the growth that an Euler step adds. Chang, Chen, Haber & Chi 2019,
"AntisymmetricRNN: a dynamical system view on recurrent neural networks".

The parameter `w_upper` holds the H*(H-1)/2 entries of W row by row; `prepare` adds
`w_h` = A^T.

Parameters: H*(H-1)/2 + I*H + H, and I*H + H more with `gated`.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, no_gates, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.cells.orthogonal import skew_symmetric
from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Key, Params, State


def antisymmetric(
    input_size: int,
    hidden_size: int,
    *,
    epsilon: float = 0.01,
    gamma: float = 0.01,
    gated: bool = False,
    recurrent_scale: float = 1.0,
) -> Cell:
    """An antisymmetric cell.

    Weights, as in the paper's experiments: V Gaussian of variance 1/I, W Gaussian of
    variance `recurrent_scale`^2/H, biases 0.

    Args:
      epsilon: step size, positive.
      gamma: damping, at least 0.
      gated: scale every step by z_t.
      recurrent_scale: standard deviation of W in units of 1/sqrt(H).
    """
    if epsilon <= 0:
        raise UsageError(f"epsilon must be positive, not {epsilon}")
    require_at_least(0, gamma=gamma)
    H, blocks = hidden_size, 2 if gated else 1
    recurrent_size = H * (H - 1) // 2

    def init(key: Key) -> Params:
        key_x, key_h = jax.random.split(key)
        return {
            "w_x": input_size**-0.5 * jax.random.normal(key_x, (input_size, blocks * H)),
            "w_upper": recurrent_scale * H**-0.5 * jax.random.normal(key_h, (recurrent_size,)),
            "b": jnp.zeros(blocks * H),
        }

    def prepare(params: Params) -> Params:
        w = params["w_upper"]
        A = skew_symmetric(w, H) - gamma * jnp.eye(H, dtype=w.dtype)
        return {**params, "w_h": A.T}

    def arguments(params: Params, state: State, x_I: Array) -> list[Array]:
        """The pre-activations of tanh and, if gated, of the logistic function."""
        if "w_h" not in params:
            params = prepare(params)
        recurrent = state["h"] @ params["w_h"]
        inputs = jnp.split(x_I @ params["w_x"] + params["b"], blocks)
        return [recurrent + block for block in inputs]

    def transition(params: Params, state: State, x_I: Array) -> State:
        of_tanh, *of_gate = arguments(params, state, x_I)
        slope = jnp.tanh(of_tanh)
        for a in of_gate:
            slope = jax.nn.sigmoid(a) * slope
        return {"h": state["h"] + epsilon * slope}

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        _, of_gate = arguments(params, state, x_I)
        return {"update": jax.nn.sigmoid(of_gate)}

    return Cell(
        name="antisymmetric",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=zero_state(H, "h"),
        transition=transition,
        gates=gates if gated else no_gates,
        prepare=prepare,
        recurrent_matrices=gate_blocks(w_h=()),
        parameter_count=recurrent_size + blocks * (input_size + 1) * H,
    )
