"""Adding: the sum of the two marked numbers of a long sequence, or their product.

Each step has a number x and a marker m; those marked 1 are asked for at the end. Hochreiter &
Schmidhuber 1997, "Long short-term memory", experiments 4 (adding) and 5 (multiplication), and in
the form of Le, Jaitly & Hinton 2015:

| | `2015` | `1997` |
| --- | --- | --- |
| steps | T | uniform in T .. T + T/10 |
| x | U[0, 1] | U[-1, 1] in a sum, U[0, 1] in a product |
| marked | a step in each half | one of the first ten, then one of the first T/2 - 1 others |
| other markers | 0 | 0; first and last step -1 |
| sum | X1 + X2 | 1/2 + (X1 + X2) / 4 |
| product | X1 X2 | X1 X2 |

In the form of 1997 the first step may be drawn, but its marker stays -1: it then counts as 0 in a
sum and as 1 in a product. That one of the two draws is such has the probability
p = 1/10 + (9/10) / (T/2 - 1).

Without memory a constant is best, and its squared error the variance of the target:

| form | sum | product |
| --- | --- | --- |
| `2015` | 1/6 | 1/9 - 1/16 |
| `1997` | (2 - p) / 48 | (1 + 2p) / 9 - ((1 + p) / 4)^2 |
"""

from functools import partial

import jax
import jax.numpy as jnp

from rnnexp.core.errors import require_at_least, require_choice
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task, one_length
from rnnexp.tasks.bit_vectors import draw_counts
from rnnexp.tasks.scores import once

FORMS = ("2015", "1997")
OPERATIONS = ("sum", "product")
FIRST = 10
"""Steps among which the first mark of 1997 is."""


def adding(*, length_steps: int = 50, form: str = "2015", operation: str = "sum") -> Task:
    """Add the two marked numbers, or multiply them; the loss is the squared error.

    Args:
      length_steps: steps of a sequence, 2 or more; in the form of 1997 of the shortest, 20 or more.
      form: 2015, of one length; or 1997, of lengths up to a tenth longer, with numbers from
        U[-1, 1] in a sum and its target scaled to [0, 1].
      operation: sum or product.

    Raises `UsageError` for a bad option.
    """
    require_choice("config.task.form", form, FORMS)
    require_choice("config.task.operation", operation, OPERATIONS)
    of_1997 = form == "1997"
    require_at_least(2 * FIRST if of_1997 else 2, length_steps=length_steps)
    longest = length_steps + length_steps // 10 if of_1997 else length_steps
    drawn = partial(draw_1997 if of_1997 else draw, T=length_steps, product=operation == "product")
    source = Endless(drawn)
    same = partial(adding, form=form, operation=operation)
    return Task(
        name="adding",
        mode="sequence_to_one",
        input_size=2,
        output_size=1,
        num_steps=longest,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline={"loss": variance(form, operation, length_steps)},
        headline="loss",
        higher_is_better=False,
        lengths=None if of_1997 else one_length("steps", longest, lambda n: same(length_steps=n)),
    )


def draw(key: Key, batch_size: int, T: int, product: bool = False) -> Batch:
    """A batch of numbers and markers, (T, B, 2); targets (B, 1)."""
    key_value, key_first, key_second = jax.random.split(key, 3)
    half = T // 2
    value_TxB = jax.random.uniform(key_value, (T, batch_size))
    first_B = jax.random.randint(key_first, (batch_size,), 0, half)
    second_B = jax.random.randint(key_second, (batch_size,), half, T)
    t_Tx1 = jnp.arange(T)[:, None]
    marked_TxB = (t_Tx1 == first_B[None, :]) | (t_Tx1 == second_B[None, :])
    target_B = combined(value_TxB, marked_TxB, product)
    marker_TxB = marked_TxB.astype(value_TxB.dtype)
    return Batch(jnp.stack([value_TxB, marker_TxB], -1), target_B[:, None])


def draw_1997(key: Key, batch_size: int, T: int, product: bool = False) -> Batch:
    """A batch in the form of 1997: (1.1 T, B, 2), targets (B, 1), and lengths."""
    key_value, key_first, key_second, key_length = jax.random.split(key, 4)
    longest = T + T // 10
    low = 0.0 if product else -1.0
    value_TxB = jax.random.uniform(key_value, (longest, batch_size), minval=low)
    lengths_B = draw_counts(key_length, batch_size, T, longest)
    first_B = jax.random.randint(key_first, (batch_size,), 0, FIRST)
    other_B = jax.random.randint(key_second, (batch_size,), 0, T // 2 - 1)
    second_B = jnp.where(other_B < first_B, other_B, other_B + 1)
    t_Tx1 = jnp.arange(longest, dtype=jnp.int32)[:, None]
    marked_TxB = (t_Tx1 == first_B[None, :]) | (t_Tx1 == second_B[None, :])
    marked_TxB &= t_Tx1 > 0
    ends_TxB = (t_Tx1 == 0) | (t_Tx1 == lengths_B[None, :] - 1)
    marker_TxB = marked_TxB.astype(value_TxB.dtype) - ends_TxB.astype(value_TxB.dtype)
    target_B = combined(value_TxB, marked_TxB, product)
    if not product:
        target_B = target_B / 4 + 0.5
    return Batch(jnp.stack([value_TxB, marker_TxB], -1), target_B[:, None], lengths_B)


def combined(value_TxB: Array, marked_TxB: Array, product: bool) -> Array:
    """The sum of the marked numbers, or their product, (B,)."""
    if product:
        return jnp.prod(jnp.where(marked_TxB, value_TxB, jnp.ones_like(value_TxB)), 0)
    return jnp.sum(value_TxB * marked_TxB.astype(value_TxB.dtype), 0)


def variance(form: str, operation: str, T: int) -> float:
    """The variance of the target; see the table at the top."""
    p = 1 / FIRST + (1 - 1 / FIRST) / (T // 2 - 1) if form == "1997" else 0.0
    if operation == "product":
        return (1 + 2 * p) / 9 - ((1 + p) / 4) ** 2
    return (2 - p) / 48 if form == "1997" else 1 / 6


def scores(outputs_Bx1: Array, batch: Batch) -> dict[str, Score]:
    """The squared error."""
    return {"loss": once(jnp.square(outputs_Bx1 - batch.targets)[:, 0])}
