"""Recurrent kernels cut into the square matrices of their gates.

A kernel (H, N * H) holds the matrices of N gates side by side.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp

from rnnexp.core.types import Array, Params


def gate_blocks(**gates: Sequence[str]) -> Callable[[Params], dict[str, Array]]:
    """`Cell.recurrent_matrices` of a cell whose kernels (H, N * H) are parameters.

    Args:
      gates: for each kernel the names of its gates, in order, as in the cell's equations;
        none for a kernel that is one matrix.
    """

    def matrices(params: Params) -> dict[str, Array]:
        by_name: dict[str, Array] = {}
        for kernel, names in gates.items():
            by_name |= named_blocks(kernel, params[kernel], names)
        return by_name

    return matrices


def named_blocks(kernel: str, weights: Array, gates: Sequence[str]) -> dict[str, Array]:
    """A kernel's blocks by `kernel/gate`; a kernel with at most one gate is `kernel`."""
    if len(gates) <= 1:
        return {kernel: weights}
    blocks = jnp.split(weights, len(gates), axis=1)
    return {f"{kernel}/{gate}": block for gate, block in zip(gates, blocks, strict=True)}
