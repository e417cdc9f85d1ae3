"""Selective copy: recall symbols that came at unknown moments, in their order.

    input   - - s_1 - s_2 ... s_n - -   marker  - x n
    target  blank x (length_steps + 1)          s_1 ... s_n

Copy memory with the symbols at random steps among blanks, so that a fixed delay does not
solve it: the denoising task of Jing et al. 2019, "Gated orthogonal recurrent units",
called selective copying by Gu & Dao 2023, "Mamba", with the layout and the 8 symbols of
Arjovsky, Shah & Bengio 2016. The loss is averaged over all length_steps + 1 + n steps.
The best predictor without memory of the symbols answers blank until the marker, which
costs nothing, and uniformly after it: n * ln(8) / (length_steps + 1 + n) nats.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Batch, Key
from rnnexp.tasks.base import Task, one_length
from rnnexp.tasks.copy_memory import BLANK, SYMBOLS, recall_batch, recall_task


def selective_copy(*, length_steps: int = 30, items: int = 5) -> Task:
    """Recall `items` symbols (n above) out of `length_steps` steps, 10 one-hot in, 9 classes.

    Args:
      length_steps: steps in which the symbols come, at least `items`.
      items: n, symbols to recall; 1 or more.

    Raises `UsageError` for no item, and for fewer steps than items.
    """
    require_at_least(1, items=items)
    if length_steps < items:
        raise UsageError(f"length_steps must be at least {items} (items), not {length_steps}")
    return recall_task(
        "selective_copy",
        lambda key, batch_size: draw(key, batch_size, length_steps, items),
        num_steps=length_steps + 1 + items,
        items=items,
        lengths=one_length(
            "steps", length_steps, lambda n: selective_copy(length_steps=n, items=items)
        ),
    )


def draw(key: Key, batch_size: int, length_steps: int, items: int) -> Batch:
    """One-hot sequences (T, B, 10), targets (T, B); the steps of the symbols are uniform."""
    key_symbols, key_places = jax.random.split(key)
    shape = (items, batch_size)
    symbols_NxB = jax.random.randint(key_symbols, shape, 0, SYMBOLS, dtype=jnp.int32)
    marks = jnp.arange(length_steps, dtype=jnp.int32)[:, None] < items
    marked = jax.random.permutation(
        key_places, jnp.broadcast_to(marks, (length_steps, batch_size)), independent=True
    )
    count = jnp.cumsum(marked, 0, dtype=jnp.int32)  # the k-th mark takes the k-th symbol
    scattered = jnp.take_along_axis(symbols_NxB, jnp.maximum(count - 1, 0), 0)
    return recall_batch(jnp.where(marked, scattered, BLANK), symbols_NxB)
