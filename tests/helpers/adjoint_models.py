"""Small models and one example for dL_s/dh_t."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rnnexp.core.masking import reverse_valid
from rnnexp.core.types import Array, Batch, State
from rnnexp.gradflow.adjoints import perturb, probes, tap, zero_slot
from rnnexp.gradflow.position_losses import Losses, Model, apply, output_lengths, spans
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


def adjoint_tensor(model: Model, batch: Batch, of: Losses, leaf: str = "h") -> dict[str, Array]:
    """dL_s/dh_t itself, (S, T, H), of every unit, as a Jacobian of all losses by perturbations.

    In the sequence's own order of time; zero at rows after the example's end.
    """

    def all_losses(slots: list[State]) -> Array:
        got = apply(model, batch, ForwardOptions(probes=probes(perturb, slots)))
        losses_S, ends = of(got.outputs, batch)[:, 0], output_lengths(model, batch)
        valid_S = True if ends is None else jnp.arange(len(losses_S)) < ends[0]
        return jnp.where(valid_S, losses_S, jnp.zeros_like(losses_S))

    slots = [{leaf: slot[leaf]} for slot in slots_of(model, batch)]
    found: dict[str, Array] = {}
    for unit, by, span in zip(
        model.units(), jax.jacrev(all_losses)(slots), spans(model, batch), strict=True
    ):
        adjoint_SxTx1xH = by[leaf]
        if unit.backward:
            backwards = partial(reverse_valid, lengths_B=span.lengths_B)
            adjoint_SxTx1xH = jax.vmap(backwards)(adjoint_SxTx1xH)
        found[unit.name] = adjoint_SxTx1xH[:, :, 0]
    return found


def jitted(function: Any, model: Model, batch: Batch, of: Losses = losses, **keys: Any) -> Any:
    """`function(model, batch, of, **keys)` as a compiled program of the parameters."""
    graphdef, params = nnx.split(model, nnx.Param)

    def run(params: Any, batch: Batch) -> Any:
        return function(nnx.merge(graphdef, params), batch, of, **keys)

    return jax.tree.map(np.asarray, jax.jit(run)(params, batch))
