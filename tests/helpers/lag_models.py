"""Small models and batches for dL/dW by lags, and two ways to compute it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rnnexp.core.types import Array, Batch, Tree
from rnnexp.gradflow.position_losses import Model
from rnnexp.laboratory.lag_gradients import LagGradients, lag_gradients
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.models.transduction import Transducer
from tests.helpers.variants import build

T, U, B, I, H, O = 4, 3, 3, 2, 4, 3  # noqa: E741


LENGTHS, WRITTEN = (4, 2, 4), (2, 3, 3)


EVERY = tuple(range(T + 1))


TO_ONE = "sequence_to_one"


def sequence_model(cell: str, mode: str = "synchronous", **keys: Any) -> SequenceModel:
    """A small model; `options` go to the cell, the rest to the structure."""
    options = keys.pop("options", {})
    return SequenceModel(
        lambda size, layer: build((cell, options), size, H, layer=layer, output_size=O),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        mode=mode,
        key=jax.random.key(0),
    )


def transducer(cell: str, **keys: Any) -> Transducer:
    """A small encoder and decoder."""
    return Transducer(
        lambda size, layer: build((cell, {}), size, H, layer=layer),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        key=jax.random.key(0),
    )


def batch_for(model: Model, *, padded: bool = False) -> Batch:
    """Inputs, targets, and lengths if wanted."""
    x = jax.random.normal(jax.random.key(1), (T, B, I))
    if isinstance(model, Transducer):
        targets = jax.random.randint(jax.random.key(2), (U, B), 0, O)
        ends = jnp.array(WRITTEN, jnp.int32) if padded else None
    else:
        shape = (B, O) if model.mode == TO_ONE else (T, B, O)
        targets, ends = jax.random.normal(jax.random.key(2), shape), None
    return Batch(x, targets, jnp.array(LENGTHS, jnp.int32) if padded else None, ends)


def losses(outputs: Array, batch: Batch) -> Array:
    """Some smooth loss of every position, (S, B), that sees the targets."""
    targets = batch.targets
    if jnp.issubdtype(targets.dtype, jnp.integer):
        targets = jax.nn.one_hot(targets, O, dtype=outputs.dtype)
    each = jnp.sum(jnp.sin(outputs) * (1.0 + targets), -1)
    return each if each.ndim == 2 else each[None]


def valid(model: Model, padded: bool) -> np.ndarray:
    """Which outputs count, (S, B)."""
    if isinstance(model, Transducer):
        return np.arange(U)[:, None] < np.array(WRITTEN if padded else [U] * B)
    if model.mode == TO_ONE:
        return np.ones((1, B), bool)
    return np.arange(T)[:, None] < np.array(LENGTHS if padded else [T] * B)


def by_lags(model: Model, batch: Batch, **keys: Any) -> LagGradients:
    """`lag_gradients` as a compiled program."""
    graphdef, params = nnx.split(model, nnx.Param)

    def run(params: Tree, batch: Batch) -> LagGradients:
        return lag_gradients(nnx.merge(graphdef, params), batch, losses, **keys)

    got: LagGradients = jax.tree.map(np.asarray, jax.jit(run)(params, batch))
    return got
