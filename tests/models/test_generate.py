"""Generated steps carry the state on, and are drawn as the temperature says."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.models.generate import generate, notes_draw, symbol_draw
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from tests.helpers.variants import build


def test_a_continuation_is_that_of_a_state_carried_on() -> None:
    """Each symbol is the likeliest after the whole text before it, read from the start."""
    model = SequenceModel(
        lambda size, layer: build(("lstm", {}), size, 6),
        structure=Structure(num_layers=2),
        input_size=5,
        output_size=5,
        mode="synchronous",
        key=jax.random.key(3),
    )
    text = jax.nn.one_hot(jnp.array([1, 4, 2]), 5)[:, None]
    drawn = generate(model, text, symbol_draw(0.0, 0), steps=6, key=jax.random.key(0))
    for _ in range(6):
        likeliest = jnp.argmax(model(text).outputs[-1], -1)
        text = jnp.concatenate([text, jax.nn.one_hot(likeliest, 5)[None]])
    np.testing.assert_array_equal(drawn, text[3:])


def test_symbols_are_drawn_as_their_temperature_says() -> None:
    logits = jnp.broadcast_to(jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))[None], (20_000, 4))

    def shares(temperature: float, top_k: int) -> np.ndarray:
        drawn = symbol_draw(temperature, top_k)(jax.random.key(0), logits)
        return np.asarray(jnp.mean(drawn, 0))

    # the deviation of a share of 20,000 draws is at most 0.0035, five of it 0.018
    np.testing.assert_allclose(shares(1.0, 0), [0.5, 0.3, 0.15, 0.05], atol=0.018)
    np.testing.assert_allclose(shares(1.0, 2), [0.625, 0.375, 0, 0], atol=0.018)
    squared = np.array([0.25, 0.09, 0.0225, 0.0025])
    np.testing.assert_allclose(shares(0.5, 0), squared / squared.sum(), atol=0.018)
    np.testing.assert_array_equal(shares(0.0, 3), [1, 0, 0, 0])


def test_notes_are_drawn_one_by_one() -> None:
    logits = jnp.broadcast_to(jnp.array([[-1.0, 2.0]]), (20_000, 2))
    drawn = notes_draw(1.0)(jax.random.key(0), logits)
    np.testing.assert_allclose(jnp.mean(drawn, 0), jax.nn.sigmoid(logits[0]), atol=0.018)
    np.testing.assert_array_equal(notes_draw(0.0)(jax.random.key(0), logits)[0], [0, 1])
