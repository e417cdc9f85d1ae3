"""Heads over frames of bits: weights that are not special, their gradients, a plan on music."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree

from rnnexp.config.schema import experiment, finish
from rnnexp.core.types import Array
from rnnexp.tasks.music import music_task
from rnnexp.train.plan import Plan, make_plan
from tests.helpers.piano_rolls import random_rolls

M = TypeVar("M", bound=nnx.Module)


def filled(head: M, seed: int = 1) -> M:
    """The head with weights of size 1, biases too."""
    graphdef, params = nnx.split(head)
    flat, unravel = ravel_pytree(params)
    noise = jax.random.normal(jax.random.key(seed), flat.shape, flat.dtype)
    with_noise: M = nnx.merge(graphdef, unravel(noise))
    return with_noise


def assert_slopes(head: Any, features: np.ndarray, frames: np.ndarray, parameters: int) -> None:
    """The gradient of the nats by parameters, of which there are so many, and by features equals
    central differences."""
    graphdef, params = nnx.split(head)
    flat, unravel = ravel_pytree((params, jnp.asarray(features)))

    @jax.jit
    def loss(flat: Array) -> Array:
        params, features = unravel(flat)
        return jnp.sum(nnx.merge(graphdef, params).nats(features, jnp.asarray(frames)))

    numeric = [(loss(flat + move) - loss(flat - move)) / 2e-6 for move in 1e-6 * jnp.eye(len(flat))]
    np.testing.assert_allclose(jax.grad(loss)(flat), numeric, rtol=1e-6, atol=1e-8)
    assert len(flat) - features.size == parameters


def music_plan(head: str, **changes: Any) -> Plan:
    """The plan of a head over a small `rnn` on random piano rolls; `__` stands for the dot."""
    config = experiment(f"jsb_chorales/{changes.pop('cell', 'rnn')}", head)
    given = {"cell__hidden_size": 5} | changes
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in given.items()})
    task = music_task("jsb_chorales", random_rolls(), "predicted")
    return make_plan(finish(config), data_dir=None, chunk_steps=2, task=task)
