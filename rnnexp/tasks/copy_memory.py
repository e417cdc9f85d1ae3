"""Copy memory: recall 10 symbols after a delay.

    input   s_1 ... s_10  blank x (T-1)  marker  blank x 10
    target  blank x (T+10)                       s_1 ... s_10

Hochreiter & Schmidhuber 1997 in the form of Arjovsky, Shah & Bengio 2016, "Unitary
evolution recurrent neural networks", section 4.1. The loss is averaged over all T + 20
steps; the best predictor without memory has 10*ln(8) / (T + 20) nats.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Lengths, Score, Task, one_length
from rnnexp.tasks.scores import correct, cross_entropy, over_steps

SYMBOLS = 8
RECALL_STEPS = 10
BLANK, MARKER = SYMBOLS, SYMBOLS + 1


def copy_memory(*, delay_steps: int = 10) -> Task:
    """Recall 10 symbols after `delay_steps` (T above), one-hot in, 9 classes out.

    Args:
      delay_steps: T, steps between the symbols and the recall; 1 or more.
    """
    require_at_least(1, delay_steps=delay_steps)
    return recall_task(
        "copy_memory",
        lambda key, batch_size: draw(key, batch_size, delay_steps),
        num_steps=delay_steps + 2 * RECALL_STEPS,
        items=RECALL_STEPS,
        lengths=one_length("delay steps", delay_steps, lambda n: copy_memory(delay_steps=n)),
    )


def draw(key: Key, batch_size: int, delay_steps: int) -> Batch:
    """A batch of random symbols; targets are (T, B) classes."""
    symbols = jax.random.randint(key, (RECALL_STEPS, batch_size), 0, SYMBOLS, dtype=jnp.int32)
    blanks = jnp.full((delay_steps - 1, batch_size), BLANK, jnp.int32)
    return recall_batch(jnp.concatenate([symbols, blanks]), symbols)


def recall_batch(shown_TxB: Array, symbols_NxB: Array) -> Batch:
    """The inputs shown, a marker, and blanks during the recall of the N symbols."""
    batch_size = symbols_NxB.shape[1]
    marker = jnp.full((1, batch_size), MARKER, jnp.int32)
    inputs = jnp.concatenate([shown_TxB, marker, jnp.full_like(symbols_NxB, BLANK)])
    blanks = jnp.full((len(shown_TxB) + 1, batch_size), BLANK, jnp.int32)
    targets = jnp.concatenate([blanks, symbols_NxB])
    return Batch(jax.nn.one_hot(inputs, SYMBOLS + 2, dtype=float), targets)


def recall_task(
    name: str,
    draw: Callable[[Key, int], Batch],
    *,
    num_steps: int,
    items: int,
    lengths: Lengths,
) -> Task:
    """A task whose targets are blank but for `items` symbols in the last steps."""

    def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
        recalled = correct(logits_TxBxO[-items:], batch.targets[-items:])
        return {
            "loss": over_steps(cross_entropy(logits_TxBxO, batch.targets)),
            "recall_accuracy": over_steps(recalled),
        }

    source = Endless(draw)
    return Task(
        name=name,
        mode="synchronous",
        input_size=SYMBOLS + 2,
        output_size=SYMBOLS + 1,
        num_steps=num_steps,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline={"loss": items * math.log(SYMBOLS) / num_steps, "recall_accuracy": 1 / SYMBOLS},
        headline="loss",
        higher_is_better=False,
        causal=False,
        lengths=lengths,
    )
