"""What cells have in common whose step is a step of a Gibbs chain.

The chain of an example makes a fixed number of steps. Its random numbers are made of the example's
seed, in its context; a counter in the state tells which of them are next.
"""

from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, no_matrices
from rnnexp.core.types import Array, Params, State, Tree


def chain_fields(bits: str, visible: int, steps: int) -> dict[str, Any]:
    """The fields of `Cell` that all of them have: a network of so many visible bits that makes so
    many steps, whose state is the leaf `bits` and a counter."""
    return {
        "input_size": visible,
        "output_size": visible,
        "recurrent_matrices": no_matrices,  # no one product leads from the bits to the bits
        "counters": ("step",),
        "hidden": bits,
        "probed": (bits,),
        "is_network": True,
        "axis": "gibbs",
        "steps": steps,
        "binary": True,
    }


def first_state(leaf: str, bits: Array) -> State:
    """The state of a chain that has made no step."""
    return {leaf: bits, "step": jnp.zeros_like(bits[0])}


def next_state(leaf: str, bits: Array, params: Params, state: State) -> State:
    """The state after a step that gave these bits; the counter begins again after the last step,
    as a chain may be continued."""
    return {leaf: bits, "step": (state["step"] + 1.0) % len(params[CONTEXT]["noise"])}


def chain_context(example: Tree, steps: int, draws: int, dtype: jnp.dtype) -> dict[str, Array]:
    """The context of a chain: where it starts, and the uniform numbers of all of its steps."""
    key = jax.random.wrap_key_data(example["seed"])
    noise = jax.random.uniform(key, (steps, draws), dtype)
    return {"pattern": example["pattern"].astype(dtype), "noise": noise}


def noise_of_step(params: Params, state: State) -> Array:
    """The uniform numbers of the next step of a chain."""
    number = state["step"].astype(jnp.int32)
    noise = params[CONTEXT]["noise"]
    uniform: Array = jax.lax.dynamic_index_in_dim(noise, number, keepdims=False)
    return uniform
