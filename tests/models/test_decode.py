"""Greedy writing equals a Python loop; a beam finds the likeliest sequence."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.models.decode import beam, greedy
from tests.helpers.transducers import LENGTHS, B, O, U, batch, each_attention, model_of


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


@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
def test_a_beam_of_everything_finds_the_best_sequence(power: float) -> None:
    model, (x, _) = model_of(attention="dot"), batch()
    steps = 3
    outputs = jax.jit(lambda x, symbols: model(x, symbols).outputs)
    found = beam(model, x, None, steps=steps, width=O**steps, length_power=power)
    for b in range(B):
        likely: dict[tuple[int, ...], float] = {}
        scored: dict[tuple[int, ...], float] = {}
        for sequence in itertools.product(range(O), repeat=steps):
            end = sequence.index(0) if 0 in sequence else steps
            if any(sequence[end:]):
                continue  # only stop symbols follow a stop symbol
            logits = outputs(x[:, b : b + 1], jnp.array(sequence)[:, None])[:, 0]
            log_p = jax.nn.log_softmax(logits, -1)
            likely[sequence] = sum(float(log_p[u, s]) for u, s in enumerate(sequence[: end + 1]))
            scored[sequence] = likely[sequence] / min(end + 1, steps) ** power
        ranked = sorted(scored, key=lambda sequence: -scored[sequence])
        for at in range(0, len(ranked), 7):
            assert tuple(found.symbols_UxBxW[:, b, at].tolist()) == ranked[at]
        finite = found.log_likelihood_BxW[b][: len(ranked)]
        np.testing.assert_allclose(finite, [likely[sequence] for sequence in ranked], rtol=1e-4)
        lengths = [sequence.index(0) + 1 if 0 in sequence else steps for sequence in ranked]
        assert found.length_BxW[b][: len(ranked)].tolist() == lengths


def test_a_beam_of_one_is_greedy() -> None:
    model, (x, _) = model_of(), batch()
    one = beam(model, x, jnp.array(LENGTHS), steps=U, width=1).symbols_UxBxW[..., 0]
    np.testing.assert_array_equal(one, greedy(model, x, jnp.array(LENGTHS), steps=U))
