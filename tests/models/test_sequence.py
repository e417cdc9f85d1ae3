"""A padded batch equals its sequences one by one; a backward unit has the sequence's time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.masking import reverse_valid
from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow.adjoints import norm_recorder, perturb, probes, zero_slot
from rnnexp.models.forward import ForwardOptions
from rnnexp.scan.unroll import Probe, unroll
from tests.helpers.structured_models import LENGTHS, B, H, T, inputs, model_of

ALL_KEYS = {"bidirectional": True, "residual": True, "layer_norm": True}


@pytest.mark.parametrize(
    ("pooling", "keys"),
    [
        ("last", {}),
        ("mean", {}),
        ("max", ALL_KEYS),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("max", {}), ("last", ALL_KEYS), ("mean", ALL_KEYS))
        ),
    ],
)
def test_a_padded_batch_equals_its_sequences_one_by_one(
    pooling: str, keys: dict[str, Any], x64: None
) -> None:
    model = model_of("sequence_to_one", num_layers=2, pooling=pooling, **keys)
    graphdef, params = nnx.split(model, nnx.Param)

    def total(params: Tree, x: Array, lengths: Array | None) -> Array:
        return jnp.sum(jnp.sin(nnx.merge(graphdef, params)(x, ForwardOptions(lengths)).outputs))

    run = jax.jit(jax.value_and_grad(total))
    padded = run(params, inputs(), jnp.array(LENGTHS))
    single = [run(params, inputs()[:n, b : b + 1], None) for b, n in enumerate(LENGTHS)]
    summed = jax.tree.map(lambda *parts: sum(parts), *single)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), padded, summed
    )


def test_the_profile_of_a_backward_unit_is_in_the_sequence_s_time(x64: None) -> None:
    """Reading the reversed input forward gives the same profile, reversed."""
    both = model_of("sequence_to_one", bidirectional=True)
    lengths = jnp.array(LENGTHS)
    units = both.units()
    recorder = norm_recorder(units, [T, T], B)

    def loss(slots: list[State]) -> Array:
        got = both(inputs(), ForwardOptions(lengths, probes=probes(recorder.apply, slots)))
        return jnp.sum(got.outputs)

    profiles = recorder.norms(jax.grad(loss)(recorder.slots), [lengths, lengths])
    backward, params = units[1].layer, units[1].layer.params()
    kernel = both.readout.kernel[...][H:]

    def alone(slot: State) -> Array:
        x = reverse_valid(inputs(), lengths)
        probe = Probe(perturb, slot)
        got = unroll(backward.cell, params, x, lengths_B=lengths, probe=probe)
        return jnp.sum(got.final_BxH @ kernel)

    adjoint = jax.grad(alone)(zero_slot(backward.cell, params, T, B))["h"]
    norms_TxB = reverse_valid(jnp.linalg.norm(adjoint, axis=-1), lengths)
    np.testing.assert_allclose(profiles[1]["h"], jnp.sum(norms_TxB, 1), rtol=1e-9)
    assert float(profiles[1]["h"][-1]) < float(profiles[0]["h"][-1])
