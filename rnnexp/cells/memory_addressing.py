"""Addressing of an external memory: where heads look, what they read, what they write.

A memory has N slots of W numbers each. A head's weights w over the slots are not negative. Arrays
of one example: memory (N, W); weights, keys, ... of R heads (R, N), (R, W), ... Heads that read
and heads that write are addressed alike.

    w_c = softmax(beta * cos(k, M_i))          content
    w_g = g * w_c + (1 - g) * w_{t-1}          interpolation
    w~_i = sum_j w_g_j * s_{i-j}               circular convolution with the shift s
    w = w~ ** gamma / sum(w~ ** gamma)         sharpening
    r = w^T M                                  reading
    M' = M * (1 - w e^T) + w a^T               erasing e, adding a

Graves, Wayne & Danihelka 2014, "Neural Turing machines", equations 2 to 9. With the weights held,
dM'/dM is the diagonal 1 - w e^T, so the adjoint of a slot that nobody writes to does not change.
"""

from functools import reduce

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array

EPSILON = 1e-6
"""Added to squared norms, and to their product: the slope of the root has a limit at a zero
memory. That of google-deepmind/dnc."""


def cosine(keys_RxW: Array, memory_NxW: Array) -> Array:
    """The cosine of each key and each slot, (R, N): 0 for a zero slot, with a finite gradient."""
    norm_R, norm_N = _smooth_norm(keys_RxW), _smooth_norm(memory_NxW)
    return (memory_NxW @ keys_RxW.T).T / (norm_R[:, None] * norm_N[None] + EPSILON)


def _smooth_norm(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(x * x, axis=-1) + EPSILON)


def content_weights(keys_RxW: Array, strengths_R: Array, memory_NxW: Array) -> Array:
    """Weights by likeness, (R, N): the softmax over the slots of strength times cosine."""
    return jax.nn.softmax(strengths_R[:, None] * cosine(keys_RxW, memory_NxW), axis=-1)


def interpolate(gate_R: Array, new_RxN: Array, old_RxN: Array) -> Array:
    """`gate` of the new weights and the rest of the old ones."""
    return gate_R[:, None] * new_RxN + (1.0 - gate_R)[:, None] * old_RxN


def circular_shift(weights_RxN: Array, by_RxK: Array) -> Array:
    """Circular convolution: `by[:, k]` of the weights moves k - (K - 1) / 2 slots up.

    Its singular values are |DFT(by)|: it is orthogonal only where `by` is one-hot.
    """
    reach = (by_RxK.shape[-1] - 1) // 2
    moved = [
        jnp.roll(weights_RxN, k - reach, axis=-1) * by_RxK[:, k, None]
        for k in range(by_RxK.shape[-1])
    ]
    shifted: Array = reduce(jnp.add, moved)
    return shifted


def sharpen(weights_RxN: Array, exponent_R: Array) -> Array:
    """Weights to the power of the exponent, divided by their sum.

    d ln w_i / d ln w~_j = exponent * ((i == j) - w_j). Computed from logarithms, whose smallest
    argument is the smallest float, so that a weight of 0 has a gradient of 0, not NaN.
    """
    tiny = jnp.full_like(weights_RxN, jnp.finfo(weights_RxN.dtype).tiny)
    logs_RxN = jnp.log(jnp.where(weights_RxN > tiny, weights_RxN, tiny))
    return jax.nn.softmax(exponent_R[:, None] * logs_RxN, axis=-1)


def read(weights_RxN: Array, memory_NxW: Array) -> Array:
    """What each head reads, (R, W): the weighted sum of the slots."""
    return weights_RxN @ memory_NxW


def write(memory_NxW: Array, weights_RxN: Array, erase_RxW: Array, add_RxW: Array) -> Array:
    """The memory after all heads have erased, and then added; their order does not matter."""
    for w_N, e_W in zip(weights_RxN, erase_RxW, strict=True):
        memory_NxW = erased(memory_NxW, w_N, e_W)
    for w_N, a_W in zip(weights_RxN, add_RxW, strict=True):
        memory_NxW = added(memory_NxW, w_N, a_W)
    return memory_NxW


@jax.custom_jvp
def erased(memory_NxW: Array, weights_N: Array, erase_W: Array) -> Array:
    """The memory after one head has erased.

    Its derivative, and that of `added`, are autodiff's, written as products of matrices: on a
    CPU, XLA's transposed products are faster than the sums over slots that autodiff makes.
    """
    return memory_NxW * (1.0 - weights_N[:, None] * erase_W[None])


@erased.defjvp
def _erased_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    (M, w, e), (dM, dw, de) = primals, tangents
    kept = 1.0 - w[:, None] * e[None]
    return M * kept, dM * kept - M * (dw[:, None] @ e[None] + w[:, None] @ de[None])


@jax.custom_jvp
def added(memory_NxW: Array, weights_N: Array, add_W: Array) -> Array:
    """The memory after one head has added."""
    return memory_NxW + weights_N[:, None] * add_W[None]


@added.defjvp
def _added_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    (M, w, a), (dM, dw, da) = primals, tangents
    return M + w[:, None] * a[None], dM + dw[:, None] @ a[None] + w[:, None] @ da[None]


def positive_limit(cell: str, name: str, value: float) -> None:
    """Raise `UsageError` for a limit that is not above 0."""
    if not value > 0:
        raise UsageError(f"{name} of {cell} must be above 0 (inf: no limit), not {value}")


def split_last(z: Array, **sizes: int) -> dict[str, Array]:
    """The parts of the last axis by name, in order."""
    parts, start = {}, 0
    for name, size in sizes.items():
        parts[name] = z[..., start : start + size]
        start += size
    return parts
