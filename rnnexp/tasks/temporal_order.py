"""Temporal order: classify the order of the 2 or 3 relevant symbols.

    a c b X d a ... c Y b d a ... c d     X, Y -> class 1 of XX, XY, YX, YY

Hochreiter & Schmidhuber 1997, "Long short-term memory", experiments 6a (two relevant
symbols, 4 classes) and 6b (three, 8 classes). Relevant symbols are X or Y, all others
are drawn from 4 distractors. The relevant symbols are at 10-20 and 50-60 percent of the
length (6a), at 10-20, 33-43 and 66-76 (6b):

| form | steps | first and last symbol |
| --- | --- | --- |
| `2013` | T, or one for each batch, as in Pascanu, Mikolov & Bengio 2013 | distractors |
| `1997` | uniform in T .. T + T/10; places are percents of T | E and B |

With `length_steps=100` the form of 1997 is the paper's, up to the number of its first step,
which counts here as 0.

Symbols are uniform and the last step says nothing, so without memory chance is the
best: ln(classes) nats, an accuracy of 1 / classes.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Lengths, Task
from rnnexp.tasks.bit_vectors import draw_counts
from rnnexp.tasks.classification import drawn_classes

DISTRACTORS = 4
X, Y, E, B = range(DISTRACTORS, DISTRACTORS + 4)
FORMS = ("2013", "1997")
RANGES_PERCENT = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""First and last step of each relevant symbol, in percent of the length, rounded down."""
Draw = Callable[[Key, int], Batch]
"""`(key, batch_size) -> batch`."""


def temporal_order(
    *, length_steps: int = 50, symbols: int = 2, form: str = "2013", shortest_steps: int = 0
) -> Task:
    """Classify the order of `symbols` (2 or 3) relevant symbols, one-hot in, 4 or 8 classes.

    Args:
      length_steps: steps of a sequence, 10 or more; in the form of 1997 of the shortest.
      symbols: relevant symbols of a sequence, 2 (4 classes) or 3 (8 classes).
      form: 2013, of one length; or 1997, of lengths up to a tenth longer, with a start and an end
        symbol.
      shortest_steps: of the form 2013, steps of the shortest batch, 10 or more; `length_steps` is
        then that of the longest, and a batch's length is uniform between them. 0: all have
        `length_steps`.

    Raises `UsageError` for other numbers of symbols and forms, for fewer than 10 steps, and for
    batches that are longer than the longest.
    """
    require_choice("config.task.form", form, FORMS)
    if symbols not in RANGES_PERCENT:
        raise UsageError(f"symbols must be 2 or 3, not {symbols}")
    require_at_least(10, length_steps=length_steps)
    if form == "1997":
        if shortest_steps:
            raise UsageError("the form of 1997 has lengths of its own: not with shortest_steps")
        return _classes(
            lambda key, batch_size: draw_ended(key, batch_size, length_steps, symbols),
            DISTRACTORS + 4, symbols, longest_of_1997(length_steps), None,
        )  # fmt: skip
    shortest = shortest_steps or length_steps
    require_at_least(10, shortest_steps=shortest)
    require_at_least(shortest, length_steps=length_steps)

    def drawn(key: Key, batch_size: int) -> Batch:
        if shortest_steps:
            return draw_length(key, batch_size, shortest, length_steps, symbols)
        return draw(key, batch_size, length_steps, symbols)

    same = partial(temporal_order, symbols=symbols)
    lengths = Lengths("steps", (shortest, length_steps), lambda n: same(length_steps=n))
    return _classes(drawn, DISTRACTORS + 2, symbols, length_steps, lengths)


def _classes(
    draw: Draw, input_size: int, symbols: int, num_steps: int, lengths: Lengths | None
) -> Task:
    return drawn_classes(
        "temporal_order",
        draw,
        input_size=input_size,
        classes=2**symbols,
        num_steps=num_steps,
        lengths=lengths,
    )


def draw(key: Key, batch_size: int, length_steps: int, symbols: int) -> Batch:
    """One-hot sequences (T, B, 6); the class reads the symbols as bits, X = 0, Y = 1."""
    sequence_TxB, targets_B = draw_symbols(key, batch_size, length_steps, length_steps, symbols)
    return Batch(jax.nn.one_hot(sequence_TxB, DISTRACTORS + 2, dtype=float), targets_B)


def draw_ended(key: Key, batch_size: int, length_steps: int, symbols: int) -> Batch:
    """The same in the form of 1997, (1.1 T, B, 8), with lengths."""
    key_symbols, key_length = jax.random.split(key)
    longest = longest_of_1997(length_steps)
    lengths_B = draw_counts(key_length, batch_size, length_steps, longest)
    sequence_TxB, targets_B = draw_symbols(key_symbols, batch_size, longest, length_steps, symbols)
    t_Tx1 = jnp.arange(longest, dtype=jnp.int32)[:, None]
    sequence_TxB = jnp.where(t_Tx1 == 0, E, sequence_TxB)
    sequence_TxB = jnp.where(t_Tx1 == lengths_B[None, :] - 1, B, sequence_TxB)
    one_hot = jax.nn.one_hot(sequence_TxB, DISTRACTORS + 4, dtype=float)
    return Batch(one_hot, targets_B, lengths_B)


def longest_of_1997(length_steps: int) -> int:
    """Steps of the longest sequence in the form of 1997: a tenth more than of the shortest."""
    return length_steps + length_steps // 10


def draw_length(key: Key, batch_size: int, shortest: int, longest: int, symbols: int) -> Batch:
    """The same of one length for the whole batch, uniform in `shortest` .. `longest`, padded to the
    longest."""
    key_length, key_symbols = jax.random.split(key)
    length = jax.random.randint(key_length, (), shortest, longest + 1, dtype=jnp.int32)
    sequence_TxB, targets_B = draw_symbols(key_symbols, batch_size, longest, length, symbols)
    inputs_TxBxI = jax.nn.one_hot(sequence_TxB, DISTRACTORS + 2, dtype=float)
    return Batch(inputs_TxBxI, targets_B, jnp.full(batch_size, length))


def draw_symbols(
    key: Key, batch_size: int, steps: int, length_steps: int | Array, symbols: int
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


def draw_place(
    key: Key, batch_size: int, length_steps: int | Array, percent: tuple[int, int]
) -> Array:
    """Steps (B,), uniform between two percentages of the length, both included."""
    first, last = (length_steps * part // 100 for part in percent)
    return jax.random.randint(key, (batch_size,), first, last + 1, dtype=jnp.int32)
