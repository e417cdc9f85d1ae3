"""Encoder and decoder: causality, lengths, attention, and what they write."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.types import Array, Tree
from rnnexp.models.decode import beam, greedy
from rnnexp.models.structure import ATTENTIONS, Structure
from rnnexp.models.transduction import Transducer
from tests.helpers.variants import build

T, U, B, I, H, O = 6, 4, 3, 3, 5, 4  # noqa: E741
LENGTHS = (6, 3, 1)
each_attention = pytest.mark.parametrize("attention", ATTENTIONS)


def model_of(cell: str = "gru", **keys: Any) -> Transducer:
    """A small model whose readout prefers nothing in particular."""
    return Transducer(
        lambda size, layer: build((cell, {}), size, H, layer=layer),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        key=jax.random.key(0),
    )


def batch() -> tuple[Array, Array]:
    """Inputs (T, B, I) and targets (U, B)."""
    x = jax.random.normal(jax.random.key(1), (T, B, I))
    return x, jax.random.randint(jax.random.key(2), (U, B), 0, O)


@each_attention
def test_a_symbol_depends_on_those_before_it_alone(attention: str) -> None:
    model, (x, targets) = model_of(attention=attention), batch()
    logits = model(x, targets).outputs
    assert logits.shape == (U, B, O)
    for u in range(U):
        changed = targets.at[u].set((targets[u] + 1) % O)
        moved = np.asarray(jnp.any(model(x, changed).outputs != logits, axis=(1, 2)))
        np.testing.assert_array_equal(moved, np.arange(U) > u)


@each_attention
@pytest.mark.parametrize("keys", [{}, {"bidirectional": True, "num_layers": 2}])
def test_a_padded_batch_equals_its_sequences_one_by_one(
    attention: str, keys: dict[str, Any], x64: None
) -> None:
    model, (x, targets) = model_of(attention=attention, **keys), batch()
    graphdef, params = nnx.split(model, nnx.Param)

    def total(params: Tree, x: Array, targets: Array, lengths: Array | None) -> Array:
        return jnp.sum(jnp.sin(nnx.merge(graphdef, params)(x, targets, lengths_B=lengths).outputs))

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
    encoded = model.encode(x, jnp.array(LENGTHS))
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
    encoded = model.encode(x, None)
    ended = model.encoder(x).states[0]
    for leaf in model.decoder.layers[0].cell.probed:
        np.testing.assert_array_equal(encoded.states[0][leaf], ended[leaf])


@each_attention
def test_greedy_writing_equals_a_python_loop(attention: str) -> None:
    model, (x, _) = model_of(attention=attention), batch()
    got = np.asarray(greedy(model, x, jnp.array(LENGTHS), steps=U))
    outputs = jax.jit(lambda x, symbols: model(x, symbols).outputs)
    for b, n in enumerate(LENGTHS):
        written: list[int] = []
        for u in range(U):
            shown = jnp.array([*written, *[0] * (U - u)])[:, None]
            logits = outputs(x[:n, b : b + 1], shown)[u, 0]
            written.append(int(jnp.argmax(logits)) if 0 not in written else 0)
        assert got[:, b].tolist() == written
    assert len({tuple(column) for column in got.T.tolist()}) > 1


def test_a_beam_of_everything_finds_the_likeliest_sequence() -> None:
    model, (x, _) = model_of(attention="dot"), batch()
    steps = 3
    outputs = jax.jit(lambda x, symbols: model(x, symbols).outputs)
    found = beam(model, x, None, steps=steps, width=O**steps)
    for b in range(B):
        likely: dict[tuple[int, ...], float] = {}
        for sequence in itertools.product(range(O), repeat=steps):
            end = sequence.index(0) if 0 in sequence else steps
            if any(sequence[end:]):
                continue  # only stop symbols follow a stop symbol
            logits = outputs(x[:, b : b + 1], jnp.array(sequence)[:, None])[:, 0]
            log_p = jax.nn.log_softmax(logits, -1)
            likely[sequence] = sum(float(log_p[u, s]) for u, s in enumerate(sequence[: end + 1]))
        ranked = sorted(likely.values(), reverse=True)
        best = tuple(found.symbols_UxBxW[:, b, 0].tolist())
        assert best == max(likely, key=lambda sequence: likely[sequence])
        finite = found.log_likelihood_BxW[b][: len(ranked)]
        np.testing.assert_allclose(finite, ranked, rtol=1e-4)


def test_a_beam_of_one_is_greedy() -> None:
    model, (x, _) = model_of(), batch()
    one = beam(model, x, jnp.array(LENGTHS), steps=U, width=1).symbols_UxBxW[..., 0]
    np.testing.assert_array_equal(one, greedy(model, x, jnp.array(LENGTHS), steps=U))
