"""Energies and free energies of Boltzmann machines of bits, and ln Z by enumeration.

A restricted machine (RBM) has N visible bits v and H hidden bits h, and no coupling within a
layer; a general one has M bits s, visible ones first, that are all coupled:

    E(v, h) = -b . v - c . h - v W h          E(s) = -b . s - s^T L s / 2
    F(v) = -ln sum_h exp(-E(v, h)) = -b . v - sum_j softplus(c_j + (v W)_j)
    p(v) = exp(-F(v)) / Z

Smolensky 1986; Ackley, Hinton & Sejnowski 1985, "A learning algorithm for Boltzmann machines".
Functions are of one machine and one vector; biases may be an example's own.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array

MOST_UNITS = 20
"""Units whose states are enumerated at most: 2^20 states."""
BLOCK_BITS = 12
"""Units of which all states are held at once; of more, the blocks are gone through in turn."""


def require_enumerable(units: int, what: str) -> None:
    """Raise `UsageError` for more units than can be enumerated."""
    if units > MOST_UNITS:
        raise UsageError(
            f"{what} enumerates the states of {units} units, 2^{units}; at most {MOST_UNITS} units "
            "can be enumerated"
        )


def all_states(bits: int, dtype: jnp.dtype | None = None) -> Array:
    """Every vector of so many bits, (2^bits, bits); the first bit changes fastest."""
    numbers = jnp.arange(2**bits, dtype=jnp.int32)[:, None]
    shifts = jnp.arange(bits, dtype=jnp.int32)[None]
    return ((numbers >> shifts) & 1).astype(float if dtype is None else dtype)


def free_energy(w_NxH: Array, b_N: Array, c_H: Array, v_N: Array) -> Array:
    """F(v) of a restricted machine, ()."""
    return -(b_N @ v_N) - jnp.sum(jax.nn.softplus(c_H + v_N @ w_NxH))


def log_partition(w_NxH: Array, b_N: Array, c_H: Array, block_bits: int = BLOCK_BITS) -> Array:
    """ln Z of a restricted machine, by the free energies of all states of its smaller layer.

    Raises `UsageError` if that has more than `MOST_UNITS` units.
    """
    if w_NxH.shape[0] > w_NxH.shape[1]:
        w_NxH, b_N, c_H = w_NxH.T, c_H, b_N
    require_enumerable(len(w_NxH), "the exact ln Z")

    def log_weight(v_N: Array) -> Array:
        return -free_energy(w_NxH, b_N, c_H, v_N)

    return log_sum_of_states(log_weight, len(w_NxH), w_NxH.dtype, block_bits)


def log_sum_of_states(
    log_weight: Callable[[Array], Array], bits: int, dtype: jnp.dtype, block_bits: int = BLOCK_BITS
) -> Array:
    """ln of the sum of exp(log_weight(s)) over all states s of so many bits, (); blocks of states
    are recomputed in a backward pass."""
    own = min(bits, block_bits)
    low_KxL = all_states(own, dtype)

    @jax.checkpoint
    def block(high: Array) -> Array:
        rows = jnp.broadcast_to(high, (len(low_KxL), bits - own))
        states = jnp.concatenate([low_KxL, rows], 1)
        return jax.nn.logsumexp(jax.vmap(log_weight)(states))

    if own == bits:
        total: Array = block(jnp.zeros(0, dtype))
        return total
    return jax.nn.logsumexp(jax.lax.map(block, all_states(bits - own, dtype)))


def couplings(w_P: Array, units: int) -> Array:
    """The symmetric matrix L (M, M) with a zero diagonal, of its M (M - 1) / 2 entries above."""
    rows, columns = jnp.triu_indices(units, 1)
    upper = jnp.zeros((units, units), w_P.dtype).at[rows, columns].set(w_P)
    return upper + upper.T


def energy(l_MxM: Array, b_M: Array, s_M: Array) -> Array:
    """E(s) of a general machine, ()."""
    return -(b_M @ s_M) - s_M @ l_MxM @ s_M / 2


def general_free_energy(l_MxM: Array, b_M: Array, v_N: Array) -> Array:
    """F(v) of a general machine, (), by the states of its hidden units.

    Raises `UsageError` if those are more than `MOST_UNITS`.
    """
    hidden = len(b_M) - len(v_N)
    require_enumerable(hidden, "the free energy of a general machine")

    def log_weight(h_H: Array) -> Array:
        return -energy(l_MxM, b_M, jnp.concatenate([v_N, h_H]))

    return -log_sum_of_states(log_weight, hidden, b_M.dtype)


def general_log_partition(l_MxM: Array, b_M: Array) -> Array:
    """ln Z of a general machine, (), by all states; `UsageError` for more than `MOST_UNITS`."""
    require_enumerable(len(b_M), "the exact ln Z of a general machine")
    return log_sum_of_states(lambda s_M: -energy(l_MxM, b_M, s_M), len(b_M), b_M.dtype)
