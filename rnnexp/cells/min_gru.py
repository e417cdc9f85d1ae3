"""Minimal gated recurrent unit (minGRU): its gate sees the input alone.

    z_t = s(W_z x_t + b_z)
    n_t = g(W_n x_t + b_n)
    h_t = (1 - z_t) * h_{t-1} + z_t * n_t

s is the logistic function, * element by element; z_t here is the fraction of the *new*
value. The recurrence is linear in h, so a whole sequence is one parallel scan. Feng,
Tung, Hassani, Hamarneh & Ahmed 2024, "Were RNNs all we needed?", section 3.1, the
plain version: h itself is carried, not its logarithm, so h may have either sign.

Parameters: 2*(I*H + H).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, no_matrices, zero_state
from rnnexp.cells.initializers import glorot_uniform, per_gate
from rnnexp.cells.linear_scan import linear_paths
from rnnexp.core.errors import require_choice
from rnnexp.core.types import Array, Key, Params, State


def positive(x: Array) -> Array:
    """g(x) = x + 1/2 where x >= 0, s(x) below: Feng et al. 2024, appendix B."""
    return jnp.where(x >= 0, x + 0.5, jax.nn.sigmoid(x))


CANDIDATES: dict[str, Callable[[Array], Array]] = {"linear": lambda x: x, "positive": positive}
"""The functions g."""


def min_gru(input_size: int, hidden_size: int, *, candidate: str = "linear") -> Cell:
    """A minGRU cell.

    Weights: Glorot uniform kernels, gate by gate (order z, n); biases 0. The paper
    states no initialisation.

    Args:
      candidate: linear (g is the identity, the paper's plain version) or positive (g keeps
        the state positive, as in its log-space version).
    """
    require_choice("candidate", candidate, CANDIDATES)
    g = CANDIDATES[candidate]

    def init(key: Key) -> Params:
        return {
            "w_x": per_gate(glorot_uniform, key, input_size, hidden_size, 2),
            "b": jnp.zeros(2 * hidden_size),
        }

    def gate_and_candidate(params: Params, x_I: Array) -> tuple[Array, Array]:
        """z_t and n_t."""
        x_z, x_n = jnp.split(x_I @ params["w_x"] + params["b"], 2)
        return jax.nn.sigmoid(x_z), g(x_n)

    def coefficients(params: Params, x_I: Array) -> tuple[Array, Array]:
        z, n = gate_and_candidate(params, x_I)
        return 1.0 - z, z * n

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        del state
        return {"update": gate_and_candidate(params, x_I)[0]}

    transition, states = linear_paths(coefficients)
    return Cell(
        name="min_gru",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=zero_state(hidden_size, "h"),
        transition=transition,
        states=states,
        gates=gates,
        kept_fraction=lambda gates: 1.0 - gates["update"],
        kernel="min_gru" if candidate == "linear" else "min_gru_positive",
        recurrent_matrices=no_matrices,  # the state's factor depends on the input
        parameter_count=2 * (input_size + 1) * hidden_size,
    )
