"""Small models and one example for dL_s/dh_t."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rnnexp.core.types import Array, Batch, State
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.gradflow.position_losses import Losses, Model, apply, spans
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.models.transduction import Transducer
from tests.helpers.variants import build

T, U, I, H, O = 7, 4, 3, 5, 3  # noqa: E741


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


def transducer(**keys: Any) -> Transducer:
    """A small encoder and decoder of GRUs."""
    return Transducer(
        lambda size, layer: build(("gru", {}), size, H, layer=layer),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        key=jax.random.key(0),
    )


def one_example(length: int | None = None, written: int | None = None) -> Batch:
    """Inputs (T, 1, I), target symbols (U, 1), and lengths if they are wanted."""
    x = jax.random.normal(jax.random.key(1), (T, 1, I))
    targets = jax.random.randint(jax.random.key(2), (U, 1), 0, O)
    lengths, ends = (None if n is None else jnp.array([n]) for n in (length, written))
    return Batch(x, targets, lengths, ends)


def losses(outputs: Array, batch: Batch) -> Array:
    """Some smooth loss of every position: (S, B)."""
    del batch
    weights_O = jnp.arange(1, O + 1).astype(outputs.dtype)
    each = jnp.sum(jnp.sin(outputs) * jnp.broadcast_to(weights_O, outputs.shape), -1)
    return each if each.ndim == 2 else each[None]


def linear_losses(outputs: Array, batch: Batch) -> Array:
    """The sum of a position's outputs."""
    del batch
    return jnp.sum(outputs, -1)


def slots_of(model: Model, batch: Batch) -> list[State]:
    """A zero slot a unit."""
    return [
        zero_slot(unit.layer.cell, unit.layer.params(), span.steps, 1)
        for unit, span in zip(model.units(), spans(model, batch), strict=True)
    ]


def recorded(model: Model, batch: Batch, rows: int) -> list[np.ndarray]:
    """dL/dh_t of the sum of the first `rows` losses, in the units' own order of reading."""

    def total(slots: Any) -> Array:
        got = apply(model, batch, ForwardOptions(probes=probes(tap, slots)))
        return jnp.sum(losses(got.outputs, batch)[:rows])

    return [np.asarray(a["h"][:, 0]) for a in jax.jit(jax.grad(total))(slots_of(model, batch))]


def jitted(function: Any, model: Model, batch: Batch, of: Losses = losses, **keys: Any) -> Any:
    """`function(model, batch, of, **keys)` as a compiled program of the parameters."""
    graphdef, params = nnx.split(model, nnx.Param)

    def run(params: Any, batch: Batch) -> Any:
        return function(nnx.merge(graphdef, params), batch, of, **keys)

    return jax.tree.map(np.asarray, jax.jit(run)(params, batch))
