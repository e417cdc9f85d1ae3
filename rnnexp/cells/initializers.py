"""Draws of initial weights.

Kernels of several gates are drawn gate by gate: an orthogonal matrix split over the gates,
as some frameworks have it, is orthogonal for none of them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.linalg import alone, radius_by_squaring
from rnnexp.core.types import Array, Key

glorot_uniform = jax.nn.initializers.glorot_uniform()


def orthogonal(key: Key, shape: tuple[int, int]) -> Array:
    """Orthonormal columns (or rows, if fewer), uniform over all such matrices."""
    draw = jax.nn.initializers.orthogonal()
    return alone(lambda key: draw(key, shape))(key)


def per_gate(
    initializer: Callable[[Key, tuple[int, int]], Array],
    key: Key,
    rows: int,
    columns: int,
    gates: int,
) -> Array:
    """A (rows, gates * columns) kernel with one block a gate, drawn independently."""
    drawn = jax.vmap(lambda k: initializer(k, (rows, columns)))(jax.random.split(key, gates))
    return jnp.moveaxis(drawn, 0, 1).reshape(rows, gates * columns)


def sparse(key: Key, shape: tuple[int, int], *, entries: int, radius: float) -> Array:
    """A square matrix with so many normal numbers in a row, scaled to a spectral radius.

    Their places are drawn anew in every row; all else is 0. The matrix multiplies a row from the
    right (h @ W), so that a unit has so many connections *to* others, as in the code of Pascanu,
    Mikolov & Bengio 2013 (`trainingRNNs`).
    """
    key_place, key_value = jax.random.split(key)
    order = jnp.argsort(jax.random.uniform(key_place, shape), axis=1)
    values = jnp.where(order < entries, jax.random.normal(key_value, shape), 0.0)
    return values * (radius / radius_by_squaring(values))


def chrono_biases(key: Key, hidden_size: int, longest_steps: int) -> Array:
    """Forget biases ln(u), u ~ U(1, longest_steps - 1), for time constants up to that length.

    The input gate takes their negative. Tallec & Ollivier 2018, "Can recurrent neural
    networks warp time?".
    """
    return jnp.log(jax.random.uniform(key, (hidden_size,), minval=1.0, maxval=longest_steps - 1.0))
