"""Logistic output units, trained on their squared error.

    y = s(W f + b)        loss = sum_k (y_k - t_k)^2 / 2

s is the logistic function; t is the target, one-hot where it is a class. With the half, the
gradient with respect to y is y - t, so that learning rates are those of the early literature, as of
Hochreiter & Schmidhuber 1997, "Long short-term memory". An answer is `wrong` if any output is off
by the tolerance or more: the paper has 0.04 for numbers and 0.3 for classes.

Start: W and b from U(-start, start). Parameters: (F + 1) O.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Score
from rnnexp.tasks.scores import correct, once, over_steps


class Logistic(nnx.Module):
    """The head; see the top of the file."""

    def __init__(
        self, feature_size: int, output_size: int, key: Key, *, start: float, tolerance: float
    ):
        def drawn(key: Key, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
            return jax.random.uniform(key, shape, dtype, -start, start)

        self.tolerance = tolerance
        self.linear = nnx.Linear(
            feature_size,
            output_size,
            param_dtype=jax.dtypes.canonicalize_dtype(float),
            kernel_init=drawn,
            bias_init=drawn,
            rngs=nnx.Rngs(params=key),
        )

    def __call__(self, features: Array) -> Array:
        """Outputs (..., O) in (0, 1) of features (..., F)."""
        return jax.nn.sigmoid(self.linear(features))

    def scores(self, features: Array, batch: Batch, key: Key) -> dict[str, Score]:
        """Half the squared error, `wrong`, and of classes `accuracy`: the largest output's."""
        del key
        outputs, targets = self(features), batch.targets
        found = {}
        if jnp.issubdtype(targets.dtype, jnp.integer):
            found["accuracy"] = correct(outputs, targets)
            targets = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        error = outputs - targets.reshape(outputs.shape)
        found["loss"] = jnp.sum(jnp.square(error), -1) / 2
        off = jnp.any(jnp.abs(error) >= self.tolerance, -1)
        found["wrong"] = off.astype(outputs.dtype)
        return {
            name: once(value) if value.ndim == 1 else over_steps(value, batch.lengths_B)
            for name, value in found.items()
        }


def logistic(
    feature_size: int,
    output_size: int,
    key: Key,
    *,
    start: float = 0.1,
    tolerance: float = 0.3,
) -> Logistic:
    """Logistic output units.

    Args:
      start: weights and biases are drawn from U(-start, start).
      tolerance: error of an output from which on an answer is wrong.

    Raises `UsageError` for a bad option.
    """
    require_at_least(0, of="the head logistic", start=start)
    if not tolerance > 0:
        raise UsageError(f"config.head.tolerance must be positive, not {tolerance}")
    return Logistic(feature_size, output_size, key, start=start, tolerance=tolerance)
