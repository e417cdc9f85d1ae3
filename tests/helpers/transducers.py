"""Small encoders with decoders, and a batch for them."""

from typing import Any

import jax
import pytest

from rnnexp.core.types import Array
from rnnexp.models.structure import ATTENTIONS, Structure
from rnnexp.models.transduction import Transducer
from tests.helpers.variants import build

T, U, B, I, H, O = 6, 4, 3, 3, 5, 4  # noqa: E741
LENGTHS = (6, 3, 1)
each_attention = pytest.mark.parametrize("attention", ATTENTIONS)


def model_of(cell: str = "gru", **keys: Any) -> Transducer:
    """A small model whose readout prefers nothing in particular."""
    return Transducer(
        lambda size, layer: build((cell, {}), size, H, layer=layer),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        key=jax.random.key(0),
    )


def batch() -> tuple[Array, Array]:
    """Inputs (T, B, I) and targets (U, B)."""
    x = jax.random.normal(jax.random.key(1), (T, B, I))
    return x, jax.random.randint(jax.random.key(2), (U, B), 0, O)
