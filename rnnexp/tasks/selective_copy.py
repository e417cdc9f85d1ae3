"""Selective copy: recall symbols that came at unknown moments, in their order.

    input   - - s_1 - s_2 ... s_n - -   marker  - x n
    target  blank x (length_steps + 1)          s_1 ... s_n

Copy memory in which the symbols stand at random among blanks, so that a fixed delay does
not solve it: the denoising task of Jing et al. 2019, "Gated orthogonal recurrent units",
called selective copying by Gu & Dao 2023, "Mamba", with the layout and the 8 symbols of
Arjovsky, Shah & Bengio 2016. The loss is averaged over all length_steps + 1 + n steps.
A predictor that remembers no symbol and knows only when it must recall answers blank
before, at no cost, and evenly after: n * ln(8) / (length_steps + 1 + n) nats.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task
from rnnexp.tasks.scores import correct, cross_entropy, over_steps

SYMBOLS = 8
BLANK, MARKER = SYMBOLS, SYMBOLS + 1


def selective_copy(*, length_steps: int = 30, items: int = 5) -> Task:
    """Recall `items` symbols (n above) out of `length_steps` steps, 10 one-hot in, 9 classes.

    Args:
      length_steps: steps in which the symbols come, at least `items`.
      items: n, symbols to recall; 1 or more.

    Raises `UsageError` for no item, and for fewer steps than items.
    """
    if items < 1:
        raise UsageError(f"items must be at least 1, not {items}")
    if length_steps < items:
        raise UsageError(f"length_steps must be at least {items} (items), not {length_steps}")
    source = Endless(lambda key, batch_size: draw(key, batch_size, length_steps, items))
    steps = length_steps + 1 + items
    return Task(
        name="selective_copy",
        mode="synchronous",
        input_size=SYMBOLS + 2,
        output_size=SYMBOLS + 1,
        num_steps=steps,
        train=source,
        valid=source,
        test=source,
        scores=scorer(items),
        baseline={"loss": items * math.log(SYMBOLS) / steps, "recall_accuracy": 1 / SYMBOLS},
        headline="loss",
        higher_is_better=False,
    )


def draw(key: Key, batch_size: int, length_steps: int, items: int) -> Batch:
    """One-hot sequences (T, B, 10); targets are (T, B). Every set of places is as likely."""
    key_symbols, key_places = jax.random.split(key)
    shape = (items, batch_size)
    symbols_NxB = jax.random.randint(key_symbols, shape, 0, SYMBOLS, dtype=jnp.int32)
    marks = jnp.arange(length_steps, dtype=jnp.int32)[:, None] < items
    marked = jax.random.permutation(
        key_places, jnp.broadcast_to(marks, (length_steps, batch_size)), independent=True
    )
    count = jnp.cumsum(marked, 0, dtype=jnp.int32)  # the k-th mark takes the k-th symbol
    scattered = jnp.take_along_axis(symbols_NxB, jnp.maximum(count - 1, 0), 0)
    shown = jnp.where(marked, scattered, BLANK)

    def constant(steps: int, value: int) -> Array:
        return jnp.full((steps, batch_size), value, jnp.int32)

    inputs = jnp.concatenate([shown, constant(1, MARKER), constant(items, BLANK)])
    targets = jnp.concatenate([constant(length_steps + 1, BLANK), symbols_NxB])
    return Batch(jax.nn.one_hot(inputs, SYMBOLS + 2, dtype=float), targets)


def scorer(items: int) -> Callable[[Array, Batch], dict[str, Score]]:
    """Cross-entropy over all steps, and the accuracy over the last `items` steps."""

    def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
        recalled = correct(logits_TxBxO[-items:], batch.targets[-items:])
        return {
            "loss": over_steps(cross_entropy(logits_TxBxO, batch.targets)),
            "recall_accuracy": over_steps(recalled),
        }

    return scores
