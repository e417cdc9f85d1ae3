"""Temporal order: classify the order of the 2 or 3 relevant symbols.

    a c b X d a ... c Y b d a ... c d     X, Y -> class 1 of XX, XY, YX, YY

Hochreiter & Schmidhuber 1997, "Long short-term memory", experiments 6a (two relevant
symbols, 4 classes) and 6b (three, 8 classes). Relevant symbols are X or Y, all others
are drawn from 4 distractors. The paper has 100 to 110 steps, with the relevant symbols
at 10-20 and 50-60 (6a), at 10-20, 33-43 and 66-76 (6b). Here the length is fixed at
`length_steps` and the ranges scale with it, as in Pascanu, Mikolov & Bengio 2013; there
are no start and end symbols.

Symbols are uniform and the last step is a distractor, so without memory chance is the
best: ln(classes) nats, an accuracy of 1 / classes.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Task, one_length
from rnnexp.tasks.classification import drawn_classes

DISTRACTORS = 4
X, Y = DISTRACTORS, DISTRACTORS + 1
RANGES_PERCENT = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""First and last step of each relevant symbol, in percent of the length, rounded down."""


def temporal_order(*, length_steps: int = 50, symbols: int = 2) -> Task:
    """Classify the order of `symbols` (2 or 3) relevant symbols, one-hot in, 4 or 8 classes.

    Args:
      length_steps: steps of a sequence, 10 or more.
      symbols: relevant symbols of a sequence, 2 (4 classes) or 3 (8 classes).

    Raises `UsageError` for other numbers of symbols and for fewer than 10 steps.
    """
    if symbols not in RANGES_PERCENT:
        raise UsageError(f"symbols must be 2 or 3, not {symbols}")
    require_at_least(10, length_steps=length_steps)
    return drawn_classes(
        "temporal_order",
        lambda key, batch_size: draw(key, batch_size, length_steps, symbols),
        input_size=DISTRACTORS + 2,
        classes=2**symbols,
        num_steps=length_steps,
        lengths=one_length(
            "steps", length_steps, lambda n: temporal_order(length_steps=n, symbols=symbols)
        ),
    )


def draw(key: Key, batch_size: int, length_steps: int, symbols: int) -> Batch:
    """One-hot sequences (T, B, 6); the class reads the symbols as bits, X = 0, Y = 1."""
    key_noise, key_bits, *keys = jax.random.split(key, 2 + symbols)
    shape = (length_steps, batch_size)
    sequence_TxB = jax.random.randint(key_noise, shape, 0, DISTRACTORS, dtype=jnp.int32)
    bits = jax.random.bernoulli(key_bits, shape=(symbols, batch_size)).astype(jnp.int32)
    targets_B = jnp.zeros(batch_size, jnp.int32)
    for bit_B, place_key, percent in zip(bits, keys, RANGES_PERCENT[symbols], strict=True):
        place_B = draw_place(place_key, batch_size, length_steps, percent)
        here_TxB = jnp.arange(length_steps, dtype=jnp.int32)[:, None] == place_B[None, :]
        sequence_TxB = jnp.where(here_TxB, X + bit_B[None, :], sequence_TxB)
        targets_B = 2 * targets_B + bit_B
    return Batch(jax.nn.one_hot(sequence_TxB, DISTRACTORS + 2, dtype=float), targets_B)


def draw_place(key: Key, batch_size: int, length_steps: int, percent: tuple[int, int]) -> Array:
    """Steps (B,), uniform between two percentages of the length, both included."""
    first, last = (length_steps * part // 100 for part in percent)
    return jax.random.randint(key, (batch_size,), first, last + 1, dtype=jnp.int32)
