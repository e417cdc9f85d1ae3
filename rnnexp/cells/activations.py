"""The activation functions that a configuration may name."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.errors import require_choice
from rnnexp.core.types import Array

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "linear": lambda x: x,
}


def find_activation(name: str) -> Callable[[Array], Array]:
    """The activation of that name. Raises `UsageError`, with the alternatives, if unknown."""
    require_choice("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
