"""The linear head: outputs are one affine function of the features."""

import jax
from flax import nnx

from rnnexp.core.types import Key


def linear(feature_size: int, output_size: int, key: Key) -> nnx.Linear:
    """A linear layer in the default float type: Glorot uniform kernel, bias 0."""
    return nnx.Linear(
        feature_size,
        output_size,
        param_dtype=jax.dtypes.canonicalize_dtype(float),
        kernel_init=nnx.initializers.glorot_uniform(),
        rngs=nnx.Rngs(params=key),
    )
