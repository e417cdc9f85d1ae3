"""A stack keeps its directions apart, its states free of dropout, its valid parts in order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.masking import reverse_valid
from rnnexp.core.types import Array, State
from rnnexp.gradflow.adjoints import perturb, probes, zero_slot
from rnnexp.models.forward import ForwardOptions
from tests.helpers.structured_models import LENGTHS, B, H, T, inputs, model_of


def test_reversal_stays_within_the_valid_part() -> None:
    x = jnp.arange(T * B).reshape(T, B)
    got = reverse_valid(x, jnp.array(LENGTHS))
    for b, n in enumerate(LENGTHS):
        expected = [*x[:n, b][::-1].tolist(), *x[n:, b].tolist()]
        assert got[:, b].tolist() == expected
    np.testing.assert_array_equal(reverse_valid(x, None), x[::-1])


def test_no_state_passes_between_the_directions(x64: None) -> None:
    model = model_of(bidirectional=True, num_layers=1)
    stack = model.stack
    slots = [zero_slot(u.layer.cell, u.layer.params(), T, B) for u in stack.units()]
    t = 3

    def half(x: Array, slots: list[State], which: int) -> Array:
        outputs = stack(x, ForwardOptions(probes=probes(perturb, slots))).outputs_TxBxH
        return jnp.sum(outputs[t, :, which * H : (which + 1) * H])

    for which, own in ((0, slice(0, t + 1)), (1, slice(t, T))):
        by_input, by_state = jax.grad(half, argnums=(0, 1))(inputs(), slots, which)
        reached = jnp.sum(jnp.abs(by_input), (1, 2)) > 0
        np.testing.assert_array_equal(reached, np.isin(np.arange(T), np.arange(T)[own]))
        assert bool(jnp.all(by_state[1 - which]["h"] == 0))
        assert bool(jnp.any(by_state[which]["h"] != 0))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_only_a_second_direction_lets_an_output_depend_on_a_later_input(
    bidirectional: bool, x64: None
) -> None:
    """So it alone has to be refused where later inputs show the target."""
    options: Any = {"num_layers": 2, "residual": True, "layer_norm": True, "learned_state": True}
    model = model_of(bidirectional=bidirectional, **options)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(model(x).outputs[3])))(inputs())
    reached = np.any(np.asarray(gradient) != 0, axis=(1, 2))
    np.testing.assert_array_equal(reached, bidirectional | (np.arange(T) <= 3))


def test_dropout_never_touches_a_state() -> None:
    """The layer's own states are those without dropout; only what stands above is thinned."""
    model, key = model_of(num_layers=2, dropout=0.5), jax.random.key(5)
    plain, thinned = model(inputs()), model(inputs(), ForwardOptions(key=key))
    np.testing.assert_array_equal(plain.states[0]["h"], thinned.states[0]["h"])
    assert bool(jnp.any(plain.states[1]["h"] != thinned.states[1]["h"]))
    slots = [zero_slot(u.layer.cell, u.layer.params(), T, B) for u in model.units()]

    def below(slots: list[State], key: Any) -> Array:
        got = model.stack(inputs(), ForwardOptions(probes=probes(perturb, slots), key=key))
        return jnp.sum(jnp.sin(got.states[0]["h"]))

    # from t - 1 to t nothing is lost: the gradient of the last state is untouched
    for with_dropout, without in zip(
        jax.tree.leaves(jax.grad(below)(slots, key)),
        jax.tree.leaves(jax.grad(below)(slots, None)),
        strict=True,
    ):
        np.testing.assert_array_equal(with_dropout, without)


def test_residual_and_layer_norm(x64: None) -> None:
    lower = model_of(num_layers=1).stack(inputs()).outputs_TxBxH
    two = model_of(num_layers=2).stack
    added = model_of(num_layers=2, residual=True).stack
    np.testing.assert_allclose(
        added(inputs()).outputs_TxBxH, two(inputs()).outputs_TxBxH + lower, rtol=1e-12
    )
    got = added(inputs())
    np.testing.assert_allclose(got.final_BxH, got.outputs_TxBxH[-1], rtol=1e-12)
    normed = model_of(layer_norm=True).stack(inputs()).outputs_TxBxH
    np.testing.assert_allclose(jnp.mean(normed, -1), 0, atol=1e-7)
    np.testing.assert_allclose(jnp.var(normed, -1), 1, rtol=1e-2)
