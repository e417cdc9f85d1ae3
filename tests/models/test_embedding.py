"""Embeddings of symbols and tied outputs: what they compute, and their gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells.gru import gru
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Tree
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure

T, B, V, E = 5, 3, 6, 4
SYMBOLS = jax.random.randint(jax.random.key(5), (T, B), 0, V, dtype=jnp.int32)
TARGETS = jax.random.randint(jax.random.key(6), (T, B), 0, V, dtype=jnp.int32)


def model_of(mode: str = "synchronous", hidden: int = E, **keys: Any) -> SequenceModel:
    """A GRU over V symbols."""
    return SequenceModel(
        lambda size, layer: gru(size, hidden), structure=Structure(**keys), input_size=V,
        output_size=V, mode=mode, key=jax.random.key(0),
    )  # fmt: skip


def one_hot(symbols: Array) -> Array:
    return jax.nn.one_hot(symbols, V, dtype=float)


def params_of(model: SequenceModel) -> Tree:
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@pytest.mark.parametrize("keys", [{}, {"embedding_size": 3}], ids=["one_hot", "embedded"])
def test_numbers_of_symbols_are_read_as_one_hot_inputs_are(keys: dict[str, Any]) -> None:
    model = model_of(**keys)
    by_number, by_vector = model(SYMBOLS).outputs, model(one_hot(SYMBOLS)).outputs
    np.testing.assert_allclose(by_number, by_vector, rtol=1e-5, atol=1e-7)


def test_an_embedding_is_the_input_kernel_of_the_product() -> None:
    """A GRU that reads E x is the GRU without embedding whose input kernel is E W."""
    embedded = model_of(embedding_size=3)
    params = params_of(embedded)
    layer = params["stack"]["layers"][0]
    [kernel] = [name for name, value in layer.items() if value.shape[0] == 3]
    layer[kernel] = params.pop("embedding")["embedding"] @ layer[kernel]
    plain = nnx.merge(nnx.graphdef(model_of()), params)
    np.testing.assert_allclose(
        plain(SYMBOLS).outputs, embedded(SYMBOLS).outputs, rtol=1e-5, atol=1e-7
    )


def test_without_an_embedding_the_weights_are_as_they_were() -> None:
    """The keys of readout and stack are a split of the model's, and the embedding's is another."""
    embedded, plain = params_of(model_of(embedding_size=V)), params_of(model_of())
    embedding = embedded.pop("embedding")["embedding"]
    jax.tree.map(np.testing.assert_array_equal, embedded, plain)
    assert embedding.shape == (V, V)
    key_readout, key_stack = jax.random.split(jax.random.key(0))
    np.testing.assert_array_equal(
        plain["readout"]["kernel"],
        nnx.initializers.glorot_uniform()(nnx.Rngs(params=key_readout).params(), (E, V)),
    )
    for key in (key_readout, key_stack):
        drawn = nnx.Embed(V, V, rngs=nnx.Rngs(params=key)).embedding[...]
        assert np.all(embedding != drawn)


def test_a_tied_output_has_the_matrix_of_the_embedding_once() -> None:
    tied, untied = (model_of(embedding_size=E, tied_output=on) for on in (True, False))
    count = {n: sum(x.size for x in jax.tree.leaves(params_of(m))) for n, m in
             (("tied", tied), ("untied", untied))}  # fmt: skip
    assert count["untied"] - count["tied"] == V * E
    graphdef, params = nnx.graphdef(tied), params_of(tied)
    again = nnx.merge(graphdef, params)
    np.testing.assert_array_equal(again(SYMBOLS).outputs, tied(SYMBOLS).outputs)
    matrix = params["embedding"]["embedding"]
    features = tied.stack(matrix[SYMBOLS]).outputs_TxBxH
    expected = np.einsum("tbe,ve->tbv", features, matrix)
    np.testing.assert_allclose(tied(SYMBOLS).outputs, expected, rtol=1e-5, atol=1e-6)


def test_gradients_of_tied_weights_are_those_of_central_differences(x64: None) -> None:
    tied = model_of(embedding_size=E, tied_output=True)
    graphdef, params = nnx.graphdef(tied), params_of(tied)
    lengths = jnp.array([5, 3, 1])

    @jax.jit
    def loss(params: Tree) -> Array:
        logits = nnx.merge(graphdef, params)(SYMBOLS, ForwardOptions(lengths)).outputs
        valid = jnp.arange(T)[:, None] < lengths[None]
        nats = -jnp.take_along_axis(jax.nn.log_softmax(logits), TARGETS[..., None], -1)[..., 0]
        return jnp.sum(jnp.where(valid, nats, jnp.zeros_like(nats)))

    gradient = jax.grad(loss)(params)["embedding"]["embedding"]
    assert gradient.dtype == jnp.float64
    by_hand, step = np.zeros((V, E)), 1e-6
    for at in np.ndindex(V, E):
        values = []
        for sign in (1, -1):
            moved = params["embedding"]["embedding"].at[at].add(sign * step)
            values.append(float(loss({**params, "embedding": {"embedding": moved}})))
        by_hand[at] = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-6, atol=1e-8)
    read = np.unique(np.asarray(SYMBOLS))
    assert np.all(np.abs(by_hand[np.setdiff1d(np.arange(V), read)]).sum(1) > 0)  # by the output


def test_padding_has_no_part_in_an_embedding() -> None:
    """Not its values, be they NaN, and not in the gradient either."""
    model = model_of("sequence_to_one", embedding_size=3)
    graphdef, params = nnx.graphdef(model), params_of(model)
    lengths = jnp.array([5, 3, 1], jnp.int32)
    valid = (jnp.arange(T)[:, None] < lengths[None])[..., None]
    x = one_hot(SYMBOLS)

    def gradient(x: Array) -> Tree:
        def total(params: Tree) -> Array:
            return jnp.sum(nnx.merge(graphdef, params)(x, ForwardOptions(lengths)).outputs)

        return jax.grad(total)(params)

    with jax.debug_nans(False):
        filled = gradient(jnp.where(valid, x, jnp.full_like(x, jnp.nan)))
    jax.tree.map(np.testing.assert_array_equal, filled, gradient(x))


def test_a_tied_output_needs_features_as_large_as_a_symbol_s() -> None:
    with pytest.raises(UsageError, match="the top layer has 7 features, and a symbol 4; set "):
        model_of(hidden=7, embedding_size=E, tied_output=True)
