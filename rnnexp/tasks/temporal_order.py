"""Temporal order: classify the order of the 2 or 3 relevant symbols.

    a c b X d a ... c Y b d a ... c d     X, Y -> class 1 of XX, XY, YX, YY

Hochreiter & Schmidhuber 1997, "Long short-term memory", experiments 6a (two relevant
symbols, 4 classes) and 6b (three, 8 classes). Relevant symbols are X or Y, all others
are drawn from 4 distractors. The relevant symbols are at 10-20 and 50-60 percent of the
length (6a), at 10-20, 33-43 and 66-76 (6b):

| form | steps | first and last symbol |
| --- | --- | --- |
| `2013` | T, as in Pascanu, Mikolov & Bengio 2013 | distractors |
| `1997` | uniform in T .. T + T/10; places are percents of T | E and B |

With `length_steps=100` the form of 1997 is the paper's, up to the number of its first step,
which counts here as 0.

Symbols are uniform and the last step says nothing, so without memory chance is the
best: ln(classes) nats, an accuracy of 1 / classes.
"""

from functools import partial

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Task, one_length
from rnnexp.tasks.classification import drawn_classes

DISTRACTORS = 4
X, Y, E, B = range(DISTRACTORS, DISTRACTORS + 4)
FORMS = ("2013", "1997")
RANGES_PERCENT = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""First and last step of each relevant symbol, in percent of the length, rounded down."""


def temporal_order(*, length_steps: int = 50, symbols: int = 2, form: str = "2013") -> Task:
    """Classify the order of `symbols` (2 or 3) relevant symbols, one-hot in, 4 or 8 classes.

    Args:
      length_steps: steps of a sequence, 10 or more; in the form of 1997 of the shortest.
      symbols: relevant symbols of a sequence, 2 (4 classes) or 3 (8 classes).
      form: 2013, of one length; or 1997, of lengths up to a tenth longer, with a start and an end
        symbol.

    Raises `UsageError` for other numbers of symbols and forms, and for fewer than 10 steps.
    """
    require_choice("config.task.form", form, FORMS)
    if symbols not in RANGES_PERCENT:
        raise UsageError(f"symbols must be 2 or 3, not {symbols}")
    require_at_least(10, length_steps=length_steps)
    ended = form == "1997"
    drawn = draw_ended if ended else draw
    same = partial(temporal_order, symbols=symbols, form=form)
    return drawn_classes(
        "temporal_order",
        lambda key, batch_size: drawn(key, batch_size, length_steps, symbols),
        input_size=DISTRACTORS + (4 if ended else 2),
        classes=2**symbols,
        num_steps=length_steps + (length_steps // 10 if ended else 0),
        lengths=None
        if ended
        else one_length("steps", length_steps, lambda n: same(length_steps=n)),
    )


def draw(key: Key, batch_size: int, length_steps: int, symbols: int) -> Batch:
    """One-hot sequences (T, B, 6); the class reads the symbols as bits, X = 0, Y = 1."""
    sequence_TxB, targets_B = draw_symbols(key, batch_size, length_steps, length_steps, symbols)
    return Batch(jax.nn.one_hot(sequence_TxB, DISTRACTORS + 2, dtype=float), targets_B)


def draw_ended(key: Key, batch_size: int, length_steps: int, symbols: int) -> Batch:
    """The same in the form of 1997, (1.1 T, B, 8), with lengths."""
    key_symbols, key_length = jax.random.split(key)
    longest = length_steps + length_steps // 10
    lengths_B = jax.random.randint(
        key_length, (batch_size,), length_steps, longest + 1, dtype=jnp.int32
    )
    sequence_TxB, targets_B = draw_symbols(key_symbols, batch_size, longest, length_steps, symbols)
    t_Tx1 = jnp.arange(longest, dtype=jnp.int32)[:, None]
    sequence_TxB = jnp.where(t_Tx1 == 0, E, sequence_TxB)
    sequence_TxB = jnp.where(t_Tx1 == lengths_B[None, :] - 1, B, sequence_TxB)
    one_hot = jax.nn.one_hot(sequence_TxB, DISTRACTORS + 4, dtype=float)
    return Batch(one_hot, targets_B, lengths_B)


def draw_symbols(
    key: Key, batch_size: int, steps: int, length_steps: int, symbols: int
) -> tuple[Array, Array]:
    """Symbols (steps, B), the relevant ones placed by `length_steps`, and their classes (B,)."""
    key_noise, key_bits, *keys = jax.random.split(key, 2 + symbols)
    shape = (steps, batch_size)
    sequence_TxB = jax.random.randint(key_noise, shape, 0, DISTRACTORS, dtype=jnp.int32)
    bits = jax.random.bernoulli(key_bits, shape=(symbols, batch_size)).astype(jnp.int32)
    targets_B = jnp.zeros(batch_size, jnp.int32)
    for bit_B, place_key, percent in zip(bits, keys, RANGES_PERCENT[symbols], strict=True):
        place_B = draw_place(place_key, batch_size, length_steps, percent)
        here_TxB = jnp.arange(steps, dtype=jnp.int32)[:, None] == place_B[None, :]
        sequence_TxB = jnp.where(here_TxB, X + bit_B[None, :], sequence_TxB)
        targets_B = 2 * targets_B + bit_B
    return sequence_TxB, targets_B


def draw_place(key: Key, batch_size: int, length_steps: int, percent: tuple[int, int]) -> Array:
    """Steps (B,), uniform between two percentages of the length, both included."""
    first, last = (length_steps * part // 100 for part in percent)
    return jax.random.randint(key, (batch_size,), first, last + 1, dtype=jnp.int32)
