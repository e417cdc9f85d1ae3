"""Small models of a structure, and a batch for them."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from tests.helpers.variants import build

T, B, I, H, O = 7, 3, 4, 5, 2  # noqa: E741


LENGTHS = (7, 4, 1)


KEY = jax.random.key(3)


def model_of(
    mode: str = "synchronous", cell: str = "gru", options: dict[str, Any] | None = None, **keys: Any
) -> SequenceModel:
    """A small model of a structure."""
    return SequenceModel(
        lambda size, layer: build((cell, options or {}), size, H, layer=layer, output_size=O),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        mode=mode,
        key=jax.random.key(0),
    )


def inputs(steps: int = T) -> Array:
    """A batch."""
    return jax.random.normal(jax.random.key(1), (steps, B, I))


def moves(model: SequenceModel, read: Any) -> Array:
    """|d read(outputs) / d input| summed over features, (T, B)."""
    gradient = jax.grad(lambda x: read(model(x)))(inputs())
    return jnp.sum(jnp.abs(gradient), -1)
