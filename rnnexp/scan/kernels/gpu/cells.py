"""The element-wise part of a cell's step, and its derivatives.

All arrays are (rows, H). A step has, gate by gate, the pre-activations `z` (the product with
the old hidden state plus the term of the inputs and the bias); gates `apart` have the two
terms separately. The equations are those of `rnnexp.cells`, with the gates in the order of
their matrices.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array

Arrays = Sequence[Array]
Stepped = tuple[Array, Array, list[Array]]
Forward = Callable[[Arrays, Arrays, Array, Array, Array], Stepped]
Backward = Callable[[Arrays, Array, Array, Array, Array, Array, Array], "Slopes"]


class Slopes(NamedTuple):
    """Derivatives of the loss from the backward pass of a step.

    Attributes:
      z: by the pre-activations, and by the separate terms of gates `apart`.
      h: by the old hidden state, without the part through the products.
      c: by the old cell state.
    """

    z: list[Array]
    h: Array
    c: Array


class FusedCell(NamedTuple):
    """A cell's step.

    Attributes:
      gates: number of blocks of its matrices.
      apart: gates for which `forward` gets the product and the term of the inputs separately.
      of_x, of_h: which of `Slopes.z` belong to the blocks of `w_x` and of `w_h`.
      saved: number of arrays that `forward` saves of a step.
      has_c: there is a cell state; it is saved too.
      forward: `(z, x, h, c, b_hn) -> (h, c, saved)`; x only of the gates `apart`.
      backward: `(saved, c, c_old, h, h_old, dh, dc) -> slopes`; dh is the adjoint of h, dc
        that of c without the part through h.
    """

    gates: int
    apart: tuple[int, ...]
    of_x: tuple[int, ...]
    of_h: tuple[int, ...]
    saved: int
    has_c: bool
    forward: Forward
    backward: Backward


def _lstm(z: Arrays, x: Arrays, h: Array, c: Array, b_hn: Array) -> Stepped:
    del x, h, b_hn
    i, f, g, o = jax.nn.sigmoid(z[0]), jax.nn.sigmoid(z[1]), jnp.tanh(z[2]), jax.nn.sigmoid(z[3])
    c = f * c + i * g
    return o * jnp.tanh(c), c, [i, f, g, o]


def _lstm_slopes(
    saved: Arrays, c: Array, c_old: Array, h: Array, h_old: Array, dh: Array, dc: Array
) -> Slopes:
    del h, h_old
    i, f, g, o = saved
    t = jnp.tanh(c)
    both = dc + dh * o * (1 - t * t)
    z = [
        both * g * i * (1 - i),
        both * c_old * f * (1 - f),
        both * i * (1 - g * g),
        dh * t * o * (1 - o),
    ]
    return Slopes(z, jnp.zeros_like(dh), both * f)


def _gru(z: Arrays, x: Arrays, h: Array, c: Array, b_hn: Array) -> Stepped:
    reset, update = jax.nn.sigmoid(z[0]), jax.nn.sigmoid(z[1])
    recurrent = z[2] + b_hn
    n = jnp.tanh(x[0] + reset * recurrent)
    return (1 - update) * n + update * h, c, [reset, update, n, recurrent]


def _gru_slopes(
    saved: Arrays, c: Array, c_old: Array, h: Array, h_old: Array, dh: Array, dc: Array
) -> Slopes:
    del c, c_old, h
    reset, update, n, recurrent = saved
    dn = dh * (1 - update) * (1 - n * n)
    d_reset = dn * recurrent * reset * (1 - reset)
    d_update = dh * (h_old - n) * update * (1 - update)
    return Slopes([d_reset, d_update, dn, dn * reset], dh * update, dc)


def _elman(f: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> FusedCell:
    """An Elman cell from its activation and from `(h, dh) -> dz`."""

    def forward(z: Arrays, x: Arrays, h: Array, c: Array, b_hn: Array) -> Stepped:
        del x, h, b_hn
        return f(z[0]), c, []

    def backward(
        saved: Arrays, c: Array, c_old: Array, h: Array, h_old: Array, dh: Array, dc: Array
    ) -> Slopes:
        del saved, c, c_old, h_old
        return Slopes([slope(h, dh)], jnp.zeros_like(dh), dc)

    return FusedCell(1, (), (0,), (0,), 0, False, forward, backward)


CELLS = {
    "lstm": FusedCell(4, (), (0, 1, 2, 3), (0, 1, 2, 3), 4, True, _lstm, _lstm_slopes),
    "gru": FusedCell(3, (2,), (0, 1, 2), (0, 1, 3), 4, False, _gru, _gru_slopes),
    "tanh": _elman(jnp.tanh, lambda h, dh: dh * (1 - h * h)),
    # written so that NaN stays NaN
    "relu": _elman(
        lambda z: jnp.where(z < 0, jnp.zeros_like(z), z),
        lambda h, dh: jnp.where(h > 0, dh, jnp.zeros_like(dh)),
    ),
    "linear": _elman(lambda z: z, lambda h, dh: dh),
}
"""By the name of the cell's kernel, as `Cell.kernel` has it."""
