"""The embedding of input symbols, and a readout that has its matrix.

A symbol's features are a row of a trained matrix E, (I, embedding_size); an input that is no
symbol, x of I features, has the features x E. With a tied output the logits of symbols are
f E^T + b, f the features of the top layer: Inan, Khosravi & Socher 2017, "Tying word vectors and
word classifiers"; Press & Wolf 2017, "Using the output embedding to improve language models".

E starts normal with variance 1 / embedding_size, b with 0.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.masking import fill_padding
from rnnexp.core.types import Array, Key
from rnnexp.models.recurrent import Recurrent

STREAM = 2
"""Makes the embedding's key of its model's; other parts have the two keys of a split, whose
numbers are 0 and 1."""


def embedding(input_size: int, embedding_size: int, key: Key, *, stream: int = STREAM) -> nnx.Embed:
    """An embedding in the default float type, from the key of its model.

    Args:
      stream: folded into the key; from the number of keys on into which the model splits it.
    """
    return nnx.Embed(
        input_size,
        embedding_size,
        param_dtype=jax.dtypes.canonicalize_dtype(float),
        rngs=nnx.Rngs(params=jax.random.fold_in(key, stream)),
    )


class TiedReadout(nnx.Module):
    """The readout f E^T + b of features (..., F) to outputs (..., I).

    Raises `UsageError` if the top layer has another number of features than a symbol.
    """

    def __init__(self, matrix: nnx.Embed, feature_size: int):
        if feature_size != matrix.features:
            raise UsageError(
                f"config.model.tied_output: the top layer has {feature_size} features, and a "
                f"symbol {matrix.features}; set config.model.embedding_size={feature_size}"
            )
        self.matrix = matrix
        self.bias = nnx.Param(jnp.zeros(matrix.num_embeddings))

    def __call__(self, features: Array) -> Array:
        """Logits of every symbol."""
        logits = self.matrix.attend(features)
        return logits + self.bias[...].reshape(*(1,) * (logits.ndim - 1), -1)


def tied_to(matrix: nnx.Embed | None) -> Callable[[int, int, Key, Recurrent], Any]:
    """The factory of a head that shares an embedding; `UsageError` without one."""
    if matrix is None:
        raise UsageError("config.model.tied_output: there is no embedding to share")
    return lambda feature_size, output_size, key, top: TiedReadout(matrix, feature_size)


def as_features(
    inputs: Array, input_size: int, of_symbols: nnx.Embed | None, lengths_B: Array | None
) -> Array:
    """What a stack reads, (T, B, F), of inputs (T, B, I) or of numbers of symbols (T, B).

    Without an embedding, inputs as they are, and symbols one-hot.
    """
    numbered = jnp.issubdtype(inputs.dtype, jnp.integer)
    if of_symbols is None:
        return jax.nn.one_hot(inputs, input_size, dtype=float) if numbered else inputs
    inputs = fill_padding(inputs, lengths_B)
    features: Array = of_symbols(inputs) if numbered else inputs @ of_symbols.embedding[...]
    return features
