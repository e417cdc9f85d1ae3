"""Matrix products in a given precision, within the kernels and around them.

"float32" forbids the shorter formats that GPUs use for float32 by default; "tf32" allows
them; "bf16" rounds both factors. Sums are always float32. A CPU has no TF32: there "tf32"
is exact, so that the equations can be tested.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array

PASSES = {
    "float32": jax.lax.Precision.HIGHEST,
    "tf32": jax.lax.Precision.HIGH,
    "bf16": jax.lax.Precision.HIGHEST,
}


def shortened(a: Array, precision: str) -> Array:
    """A factor in the format of the product."""
    return a.astype(jnp.bfloat16) if precision == "bf16" else a


def product(a: Array, w: Array, precision: str) -> Array:
    """(rows, K) times (1, K, N), `shortened` already, within a kernel.

    Tensor cores multiply tiles of at least 16 rows. "float32" has fewer and does without
    them: all products of a program at once, then their sums over K.
    """
    if precision == "float32":
        return jnp.sum(a[:, :, None] * w, axis=1)
    return jax.lax.dot(
        shortened(a, precision), w[0], precision=PASSES[precision], preferred_element_type=a.dtype
    )


def matmul(a: Array, b: Array, precision: str) -> Array:
    """(..., M, K) times (K, N)."""
    return jnp.matmul(
        shortened(a, precision),
        shortened(b, precision),
        precision=PASSES[precision],
        preferred_element_type=a.dtype,
    )


def add_up(a_TxBxM: Array, b_TxBxN: Array, precision: str) -> Array:
    """(M, N): products of rows, added up over steps and examples."""
    return jnp.einsum(
        "tbm,tbn->mn",
        shortened(a_TxBxM, precision),
        shortened(b_TxBxN, precision),
        precision=PASSES[precision],
        preferred_element_type=a_TxBxM.dtype,
    )
