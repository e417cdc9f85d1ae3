"""Copy memory: recall 10 symbols after a delay.

    input   s_1 ... s_10  blank x (T-1)  marker  blank x 10
    target  blank x (T+10)                       s_1 ... s_10

Hochreiter & Schmidhuber 1997 in the form of Arjovsky, Shah & Bengio 2016, "Unitary
evolution recurrent neural networks", section 4.1. The loss is averaged over all T + 20
steps; without memory the best is 10*ln(8) / (T + 20) nats.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task
from rnnexp.tasks.scores import correct, cross_entropy, over_steps

SYMBOLS = 8
RECALL_STEPS = 10
BLANK, MARKER = SYMBOLS, SYMBOLS + 1


def copy_memory(*, delay_steps: int = 10) -> Task:
    """Recall 10 symbols after `delay_steps` (T above), one-hot in, 9 classes out.

    Args:
      delay_steps: T, steps between the symbols and the recall; 1 or more.
    """
    if delay_steps < 1:
        raise UsageError(f"delay_steps must be at least 1, not {delay_steps}")
    steps = delay_steps + 2 * RECALL_STEPS
    source = Endless(lambda key, batch_size: draw(key, batch_size, delay_steps))
    return Task(
        name="copy_memory",
        mode="synchronous",
        input_size=SYMBOLS + 2,
        output_size=SYMBOLS + 1,
        num_steps=steps,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline={"loss": RECALL_STEPS * math.log(SYMBOLS) / steps, "recall_accuracy": 1 / SYMBOLS},
        headline="loss",
        higher_is_better=False,
    )


def draw(key: Key, batch_size: int, delay_steps: int) -> Batch:
    """A batch of random symbols; targets are (T, B) classes."""
    symbols = jax.random.randint(key, (RECALL_STEPS, batch_size), 0, SYMBOLS, dtype=jnp.int32)

    def blanks(steps: int) -> Array:
        return jnp.full((steps, batch_size), BLANK, jnp.int32)

    marker = jnp.full((1, batch_size), MARKER, jnp.int32)
    inputs = jnp.concatenate([symbols, blanks(delay_steps - 1), marker, blanks(RECALL_STEPS)])
    targets = jnp.concatenate([blanks(delay_steps + RECALL_STEPS), symbols])
    return Batch(jax.nn.one_hot(inputs, SYMBOLS + 2, dtype=float), targets)


def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy over all steps, and the accuracy over the ten recall steps."""
    recalled = correct(logits_TxBxO[-RECALL_STEPS:], batch.targets[-RECALL_STEPS:])
    return {
        "loss": over_steps(cross_entropy(logits_TxBxO, batch.targets)),
        "recall_accuracy": over_steps(recalled),
    }
