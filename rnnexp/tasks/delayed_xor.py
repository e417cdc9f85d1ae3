"""Delayed XOR: the exclusive or of two bits, far apart in noise.

    value   noise ... bit ... noise (delay_steps - 1) ... bit ... noise
    marker    0        1                 0                 1        0

The first bit comes at one of the first 5 steps, the second `delay_steps` later; bits are
-1 or +1, the noise is U[-1, 1]. No linear readout solves exclusive or (Minsky & Papert
1969); the delay also needs a memory that noise does not overwrite, as in the two-sequence
problem of Bengio, Simard & Frasconi 1994, "Learning long-term dependencies with gradient
descent is difficult".

The answer is independent of each single bit, so without memory chance is the best, even
where the last step is the second bit: ln(2) nats, an accuracy of 1/2.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Batch, Key
from rnnexp.tasks.base import Task, one_length
from rnnexp.tasks.classification import drawn_classes

FIRST_STEPS = 5


def delayed_xor(*, delay_steps: int = 10) -> Task:
    """Exclusive or of two marked bits `delay_steps` apart, in `delay_steps` + 5 steps.

    Args:
      delay_steps: steps from the first marked bit to the second; 1 or more.

    Raises `UsageError` for a delay below 1.
    """
    require_at_least(1, delay_steps=delay_steps)
    return drawn_classes(
        "delayed_xor",
        lambda key, batch_size: draw(key, batch_size, delay_steps),
        input_size=2,
        classes=2,
        num_steps=delay_steps + FIRST_STEPS,
        lengths=one_length("delay steps", delay_steps, lambda n: delayed_xor(delay_steps=n)),
    )


def draw(key: Key, batch_size: int, delay_steps: int) -> Batch:
    """Values and markers, (T, B, 2); targets are 1 where the two bits differ, (B,)."""
    key_noise, key_bits, key_place = jax.random.split(key, 3)
    steps = delay_steps + FIRST_STEPS
    noise_TxB = jax.random.uniform(key_noise, (steps, batch_size), minval=-1, maxval=1)
    bits_2xB = jax.random.bernoulli(key_bits, shape=(2, batch_size))
    sign_2xB = jnp.where(bits_2xB, 1, -1).astype(noise_TxB.dtype)
    first_B = jax.random.randint(key_place, (batch_size,), 0, FIRST_STEPS, dtype=jnp.int32)
    elapsed_TxB = jnp.arange(steps, dtype=jnp.int32)[:, None] - first_B[None, :]
    value_TxB = jnp.where(elapsed_TxB == 0, sign_2xB[:1], noise_TxB)
    value_TxB = jnp.where(elapsed_TxB == delay_steps, sign_2xB[1:], value_TxB)
    marked_TxB = (elapsed_TxB == 0) | (elapsed_TxB == delay_steps)
    inputs_TxBx2 = jnp.stack([value_TxB, marked_TxB.astype(value_TxB.dtype)], -1)
    return Batch(inputs_TxBx2, (bits_2xB[0] ^ bits_2xB[1]).astype(jnp.int32))
