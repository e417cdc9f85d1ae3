"""Orthogonal recurrent network by the exponential map (expRNN).

    h_t = m(W_x x_t + W h_{t-1}),  W = expm(A),  A = -A^T
    m(z) = z + sign(z) b where |z| + b >= 0, and 0 elsewhere (modReLU)

A is given by its strict upper triangle, so W is orthogonal whatever the parameters, and
where m is the identity (b = 0) the adjoint's norm is the same at every step.
Lezcano-Casado & Martinez-Rubio 2019, "Cheap orthogonal constraints in neural networks:
a simple parametrization of the orthogonal and unitary group"; modReLU: Arjovsky, Shah &
Bengio 2016, equation 8.

The exponential costs some twenty products of H x H matrices and a linear solve, so it is
computed once a sequence: `prepare` adds `w_h` = W^T to the parameters.

Parameters: I*H + H*(H-1)/2 + H.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell, zero_state
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.core.errors import require_choice
from rnnexp.core.linalg import expm
from rnnexp.core.types import Array, Key, Params, State

STARTS = ("cayley", "henaff")
LARGEST_BIAS = 0.01  # of modReLU at the start, in the authors' code


def modrelu(z_H: Array, b_H: Array) -> Array:
    """z + sign(z) b where |z| + b >= 0, else 0; the identity, in its slope too, for b = 0."""
    return jnp.where(jnp.abs(z_H) + b_H >= 0, z_H + jnp.sign(z_H) * b_H, 0.0)


def skew_symmetric(upper: Array, size: int) -> Array:
    """A, (size, size), from its strict upper triangle row by row, (size*(size-1)/2,)."""
    rows, columns = np.triu_indices(size, 1)
    triangle = jnp.zeros((size, size), upper.dtype).at[rows, columns].set(upper)
    return triangle - triangle.T


def start_angles(key: Key, blocks: int, start: str) -> Array:
    """The entries s_j of A's 2x2 blocks [[0, s_j], [-s_j, 0]] on the diagonal, (blocks,).

    "henaff": U(-pi, pi) (Henaff, Szlam & LeCun 2016). "cayley": -sqrt((1 - cos u) /
    (1 + cos u)) = -tan(u/2) with u ~ U(0, pi/2) (Helfrich, Willmott & Ye 2018).
    """
    if start == "henaff":
        return jax.random.uniform(key, (blocks,), minval=-math.pi, maxval=math.pi)
    return -jnp.tan(jax.random.uniform(key, (blocks,), maxval=math.pi / 2) / 2)


def orthogonal(input_size: int, hidden_size: int, *, start: str = "cayley") -> Cell:
    """An expRNN cell.

    Weights: A block diagonal, with rotations by `start_angles` (the last unit has none if
    H is odd); W_x Gaussian of variance 2/I and b ~ U(-0.01, 0.01), as in the
    authors' code.

    Args:
      start: distribution of the angles, cayley (0 to 1 radian) or henaff (any).
    """
    require_choice("start", start, STARTS)
    H = hidden_size
    rows, columns = np.triu_indices(H, 1)
    in_blocks = np.flatnonzero((rows % 2 == 0) & (columns == rows + 1))

    def init(key: Key) -> Params:
        key_x, key_a, key_b = jax.random.split(key, 3)
        angles = start_angles(key_a, len(in_blocks), start)
        return {
            "w_x": math.sqrt(2 / input_size) * jax.random.normal(key_x, (input_size, H)),
            "a": jnp.zeros(len(rows), angles.dtype).at[in_blocks].set(angles),
            "b": jax.random.uniform(key_b, (H,), minval=-LARGEST_BIAS, maxval=LARGEST_BIAS),
        }

    def prepare(params: Params) -> Params:
        return {**params, "w_h": expm(skew_symmetric(params["a"], H)).T}

    def transition(params: Params, state: State, x_I: Array) -> State:
        if "w_h" not in params:
            params = prepare(params)
        z = x_I @ params["w_x"] + state["h"] @ params["w_h"]
        return {"h": modrelu(z, params["b"])}

    return Cell(
        name="orthogonal",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=zero_state(H, "h"),
        transition=transition,
        prepare=prepare,
        recurrent_matrices=gate_blocks(w_h=()),
        parameter_count=input_size * H + H * (H - 1) // 2 + H,
    )
