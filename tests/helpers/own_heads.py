"""Heads of a user's own: one that scores itself, and faulty ones."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Score


class Gaussian(nnx.Module):
    """A normal distribution of a number, whose features a key makes noisy."""

    def __init__(self, features: int, key: Key, noise: float):
        kernel = jax.random.normal(key, (features, 2)) / features**0.5
        self.w, self.noise = nnx.Param(kernel), noise

    def scores(self, features: Array, batch: Batch, key: Key) -> dict[str, Score]:
        """Nats and squared errors by example, summed over steps if there are several."""
        noise = self.noise * jax.random.normal(key, features.shape, features.dtype)
        mean, log_var = jnp.moveaxis((features + noise) @ self.w[...], -1, 0)
        error = jnp.square(batch.targets.reshape(mean.shape) - mean)
        nats = (log_var + error / jnp.exp(log_var) + jnp.log(2 * jnp.pi)) / 2
        counts = jnp.ones_like(nats)
        return {"loss": Score(nats, counts), "mse": Score(error, counts)}


def gaussian(feature_size: int, output_size: int, key: Key, *, noise: float = 0.0) -> Gaussian:
    """A normal distribution that scores itself."""
    del output_size
    return Gaussian(feature_size, key, noise)


def broken(**changes: Any) -> Any:
    """A factory of `Gaussian` with attributes of its class replaced."""
    made = type("Broken", (Gaussian,), changes)
    return lambda feature_size, output_size, key: made(feature_size, key, 0.0)
