"""Lengths: padding changes nothing, and no gradient enters it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.masking import fill_batch, fill_padding, states_before, valid_steps
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.tasks.scores import over_steps
from tests.helpers.variants import build

T, B, I, H = 9, 3, 4, 5  # noqa: E741
LENGTHS = (9, 4, 1)


def model_of(mode: str) -> tuple[SequenceModel, Tree, Array]:
    """A two-layer LSTM and a padded batch with rubbish in the padding."""
    model = SequenceModel(
        lambda size, layer: build(("lstm", {}), size, H),
        structure=Structure(num_layers=2),
        input_size=I,
        output_size=2,
        mode=mode,
        key=jax.random.key(0),
    )
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    return model, params, jax.random.normal(jax.random.key(1), (T, B, I))


@pytest.mark.parametrize("mode", ["sequence_to_one", "synchronous"])
def test_a_padded_batch_equals_its_sequences_one_by_one(mode: str, x64: None) -> None:
    model, params, x = model_of(mode)
    graphdef = nnx.graphdef(model)

    def total(params: Tree, x: Array, lengths: Array | None) -> Array:
        outputs = jnp.sin(nnx.merge(graphdef, params)(x, ForwardOptions(lengths)).outputs)
        if mode == "sequence_to_one":
            return jnp.sum(outputs)
        return jnp.sum(over_steps(jnp.sum(outputs, -1), lengths).total_B)

    run = jax.jit(jax.value_and_grad(total))
    padded = run(params, x, jnp.array(LENGTHS))
    single = [run(params, x[:n, b : b + 1], None) for b, n in enumerate(LENGTHS)]
    summed = jax.tree.map(lambda *parts: sum(parts), *single)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), padded, summed
    )


def test_no_gradient_enters_the_padding(x64: None) -> None:
    model, params, x = model_of("sequence_to_one")
    slots = [zero_slot(u.layer.cell, u.layer.params(), T, B) for u in model.units()]

    def loss(slots: list, x: Array) -> Array:
        net = nnx.merge(nnx.graphdef(model), params)
        got = net(x, ForwardOptions(jnp.array(LENGTHS), probes=probes(tap, slots)))
        return jnp.sum(got.outputs)

    adjoints, by_input = jax.jit(jax.grad(loss, argnums=(0, 1)))(slots, x)
    adjoints, by_input = jax.device_get((adjoints, by_input))
    for b, n in enumerate(LENGTHS):
        assert np.all(by_input[n:, b] == 0)
        assert np.all(by_input[:n, b] != 0)
        for layer in adjoints:
            assert np.all(layer["h"][n:, b] == 0)
            assert np.all(layer["h"][n - 1, b] != 0)


def test_steps_are_valid_below_their_length() -> None:
    expected = np.arange(T)[:, None] < np.array(LENGTHS)
    np.testing.assert_array_equal(valid_steps(T, jnp.array(LENGTHS, jnp.int32)), expected)
    np.testing.assert_array_equal(valid_steps(T, None), np.ones((T, 1), bool))


def test_every_step_begins_in_the_state_before_it() -> None:
    states = {"h": jnp.arange(1.0, 1 + T * B).reshape(T, B), "t": jnp.ones((T, B))}
    before = states_before({"h": jnp.zeros(B), "t": jnp.full(B, 7.0)}, states)
    np.testing.assert_array_equal(before["h"][1:], states["h"][:-1])
    np.testing.assert_array_equal(before["h"][0], 0)
    np.testing.assert_array_equal(before["t"][:2], [[7] * B, [1] * B])


def test_padding_is_filled_with_the_first_step_and_gives_it_no_gradient() -> None:
    x = jnp.arange(1.0, 1 + T * B * I).reshape(T, B, I)
    lengths = jnp.array([4, 9, 0], jnp.int32)
    filled = fill_padding(x.at[5, 0, 1].set(jnp.nan), lengths)
    np.testing.assert_array_equal(filled[:4, 0], x[:4, 0])
    np.testing.assert_array_equal(filled[4:, 0], jnp.broadcast_to(x[0, 0], (T - 4, I)))
    np.testing.assert_array_equal(filled[:, 1], x[:, 1])
    np.testing.assert_array_equal(filled[:, 2], 0)
    gradient = jax.grad(lambda x: jnp.sum(fill_padding(x, lengths)))(x)
    valid = np.asarray(valid_steps(T, lengths))[:, :, None]
    np.testing.assert_array_equal(gradient, np.broadcast_to(valid, x.shape).astype(float))


def test_full_sequences_are_not_touched() -> None:
    batch = Batch(jnp.zeros((T, B, I)), jnp.zeros((T, B), jnp.int32))
    for mode in ("sequence_to_one", "synchronous", "asynchronous"):
        filled = fill_batch(batch, mode)
        assert filled.inputs_TxBxI is batch.inputs_TxBxI
        assert filled.targets is batch.targets


def test_the_targets_of_a_mode_are_filled_by_their_own_lengths() -> None:
    x, targets = jnp.full((T, B, I), jnp.nan), jnp.arange(T * B, dtype=jnp.int32).reshape(T, B)
    given = Batch(x, targets, jnp.array([2, 3, 4]), jnp.array([5, 6, 7]))
    for mode, lengths in (("synchronous", (2, 3, 4)), ("asynchronous", (5, 6, 7))):
        filled = fill_batch(given, mode).targets
        for b, length in enumerate(lengths):
            assert filled[:length, b].tolist() == targets[:length, b].tolist()
            assert filled[length:, b].tolist() == [b] * (T - length)
    assert fill_batch(given, "sequence_to_one").targets is targets
