"""A transducer is causal, blind to padding, and attends to the valid steps alone."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.types import Array, Tree
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.transduction import Transducer
from tests.helpers.transducers import LENGTHS, B, H, I, O, T, U, batch, each_attention, model_of


@each_attention
def test_a_symbol_depends_on_those_before_it_alone(attention: str) -> None:
    model, (x, targets) = model_of(attention=attention), batch()
    run = nnx.jit(lambda model, targets: model(x, targets).outputs)
    logits = run(model, targets)
    assert logits.shape == (U, B, O)
    for u in range(U):
        changed = targets.at[u].set((targets[u] + 1) % O)
        moved = np.any(np.asarray(run(model, changed)) != np.asarray(logits), axis=(1, 2))
        np.testing.assert_array_equal(moved, np.arange(U) > u)


@each_attention
@pytest.mark.parametrize("keys", [{}, {"bidirectional": True, "num_layers": 2}])
def test_a_padded_batch_equals_its_sequences_one_by_one(
    attention: str, keys: dict[str, Any], x64: None
) -> None:
    model, (x, targets) = model_of(attention=attention, **keys), batch()
    graphdef, params = nnx.split(model, nnx.Param)

    def total(params: Tree, x: Array, targets: Array, lengths: Array | None) -> Array:
        return jnp.sum(
            jnp.sin(nnx.merge(graphdef, params)(x, targets, ForwardOptions(lengths)).outputs)
        )

    run = jax.jit(jax.value_and_grad(total))
    padded = run(params, x, targets, jnp.array(LENGTHS))
    single = [
        run(params, x[:n, b : b + 1], targets[:, b : b + 1], None) for b, n in enumerate(LENGTHS)
    ]
    summed = jax.tree.map(lambda *parts: sum(parts), *single)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), padded, summed
    )


@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_attention_is_a_distribution_over_the_valid_steps(attention: str) -> None:
    model, (x, _) = model_of(attention=attention), batch()
    encoded = model.encode(x, ForwardOptions(jnp.array(LENGTHS)))
    d = jax.random.normal(jax.random.key(4), (U, B, H))
    weights = np.asarray(model.weights(d, encoded))
    assert weights.shape == (U, B, T)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    for b, n in enumerate(LENGTHS):
        assert (weights[:, b, n:] == 0).all()
        assert (weights[:, b, :n] > 0).all()
    score = additive_by_hand if attention == "additive" else dot_by_hand
    memory = np.asarray(encoded.outputs_TxBxH)
    for u, b in itertools.product(range(U), range(B)):
        raw = np.array([score(model, np.asarray(d)[u, b], memory[s, b]) for s in range(LENGTHS[b])])
        expected = np.exp(raw - raw.max()) / np.exp(raw - raw.max()).sum()
        np.testing.assert_allclose(weights[u, b, : LENGTHS[b]], expected, rtol=1e-4)


def dense(layer: Any, x: np.ndarray) -> np.ndarray:
    """W x + b."""
    result: np.ndarray = x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
    return result


def dot_by_hand(model: Transducer, d: np.ndarray, e: np.ndarray) -> float:
    """d . (W e + b)."""
    return float(d @ dense(model.memory, e))


def additive_by_hand(model: Transducer, d: np.ndarray, e: np.ndarray) -> float:
    """v . tanh(W d + U e)."""
    return float(dense(model.score, np.tanh(dense(model.query, d) + dense(model.memory, e)))[0])


@pytest.mark.parametrize("cell", ["lstm", "tdnn", "clockwork"])
def test_the_decoder_begins_where_the_encoder_ended(cell: str) -> None:
    model, (x, _) = model_of(cell), batch()
    encoded, ended = nnx.jit(lambda model: (model.encode(x), model.encoder(x).states[0]))(model)
    for leaf in model.decoder.layers[0].cell.probed:
        np.testing.assert_array_equal(encoded.states[0][leaf], ended[leaf])


def numbered(model: Transducer, symbols: Array, targets: Array) -> tuple[Array, Array]:
    """Logits of symbols by their numbers, and one-hot."""
    one_hot = jax.nn.one_hot(symbols, I, dtype=float)
    lengths = ForwardOptions(jnp.array(LENGTHS))
    return model(symbols, targets, lengths).outputs, model(one_hot, targets, lengths).outputs


@pytest.mark.parametrize("keys", [{}, {"embedding_size": 7}], ids=["one_hot", "embedded"])
def test_numbers_of_symbols_are_read_as_one_hot_inputs_are(keys: dict[str, Any]) -> None:
    symbols = jax.random.randint(jax.random.key(3), (T, B), 0, I, dtype=jnp.int32)
    by_number, by_vector = numbered(model_of(attention="dot", **keys), symbols, batch()[1])
    np.testing.assert_allclose(by_number, by_vector, rtol=1e-5, atol=1e-6)


def test_embeddings_are_the_input_kernels_of_the_product() -> None:
    """Of both stacks, and in the steps of the decoder as in its sequence."""
    embedded, targets = model_of(attention="dot", embedding_size=7), batch()[1]
    params = nnx.to_pure_dict(nnx.state(embedded, nnx.Param))
    for stack, name in (("encoder", "embedding"), ("decoder", "target_embedding")):
        layer = params[stack]["layers"][0]
        [kernel] = [name for name, value in layer.items() if value.shape[0] == 7]
        layer[kernel] = params.pop(name)["embedding"] @ layer[kernel]
    plain = nnx.merge(nnx.graphdef(model_of(attention="dot")), params)
    symbols = jax.random.randint(jax.random.key(3), (T, B), 0, I, dtype=jnp.int32)
    for one, other in zip(
        numbered(plain, symbols, targets), numbered(embedded, symbols, targets), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    shown = jax.nn.one_hot(targets[0], O, dtype=float)
    stepped = [
        m.step(m.encode(symbols).states, shown, m.encode(symbols)) for m in (plain, embedded)
    ]
    np.testing.assert_allclose(stepped[0][1], stepped[1][1], rtol=1e-5, atol=1e-6)


def test_the_two_embeddings_and_all_other_weights_have_keys_of_their_own() -> None:
    """Without an embedding the weights are as they were; a symbol has two vectors."""
    model = model_of(attention="additive", embedding_size=O)
    square = Transducer(
        lambda size, layer: model.encoder.layers[0].cell, structure=model.encoder.structure,
        input_size=O, output_size=O, key=jax.random.key(0),
    )  # fmt: skip
    assert square.embedding is not None
    assert square.target_embedding is not None
    tables = [np.asarray(x.embedding[...]) for x in (square.embedding, square.target_embedding)]
    keys = jax.random.split(jax.random.key(0), 4)
    tables += [
        np.asarray(nnx.Embed(O, O, rngs=nnx.Rngs(params=key)).embedding[...]) for key in keys
    ]
    for one, other in itertools.combinations(tables, 2):
        assert np.all(one != other)
