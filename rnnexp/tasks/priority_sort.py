"""Priority sort: write down the bit vectors of the highest priorities, in their order.

    input   (v_1, p_1) ... (v_20, p_20)  flag  blank x 16
    answer                                     the 16 of the highest priorities, the highest first

Graves, Wayne & Danihelka 2014, "Neural Turing machines", section 4.5: 20 vectors of 8 bits with
priorities uniform in [-1, 1], in a channel of their own. The flag is the last channel. Nothing is
shown while the answer is due, so without memory every bit is 1 half of the time: 16 * 8 * ln(2)
nats a sequence.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.masking import take_steps
from rnnexp.core.types import Batch, Key
from rnnexp.tasks.base import Lengths, Task
from rnnexp.tasks.bit_vectors import bits_task, draw_vectors, even_baseline, require_bits


def priority_sort(*, bits: int = 8, vectors: int = 20, highest: int = 16) -> Task:
    """Sort the `highest` of `vectors` vectors by priority; inputs have two channels more.

    Args:
      bits: of a vector; 1 or more.
      vectors: that are shown, at least `highest`.
      highest: vectors of the answer; 1 or more.

    Raises `UsageError` for other numbers.
    """
    require_bits(bits)
    require_at_least(1, highest=highest)
    if vectors < highest:
        raise UsageError(f"vectors must be at least {highest} (highest), not {vectors}")
    return bits_task(
        "priority_sort",
        lambda key, batch_size: draw(key, batch_size, bits, vectors, highest),
        input_size=bits + 2,
        output_size=bits,
        num_steps=vectors + 1 + highest,
        baseline=even_baseline(bits * highest),
        lengths=Lengths(
            "vectors",
            (vectors, vectors),
            at=lambda n: priority_sort(bits=bits, vectors=n, highest=highest),
            test=(vectors, 2 * vectors),
        ),
    )


def draw(key: Key, batch_size: int, bits: int, vectors: int, highest: int) -> Batch:
    """Sequences (T, B, bits + 2), bits, priority and flag; targets (T, B, bits)."""
    key_bits, key_priority = jax.random.split(key)
    vectors_VxBxI = draw_vectors(key_bits, batch_size, vectors, bits)
    shape = (vectors, batch_size)
    priority_VxB = jax.random.uniform(key_priority, shape, minval=-1.0, maxval=1.0)
    order_VxB = jnp.argsort(priority_VxB, axis=0, descending=True).astype(jnp.int32)
    answer = take_steps(vectors_VxBxI, order_VxB[:highest])
    blank = jnp.zeros_like(priority_VxB)
    shown = jnp.concatenate([vectors_VxBxI, jnp.stack([priority_VxB, blank], -1)], -1)
    flag = jnp.zeros_like(shown[:1]).at[..., -1].set(1.0)
    rest = jnp.zeros((highest, *shown.shape[1:]), shown.dtype)
    before = jnp.zeros((vectors + 1, *answer.shape[1:]), answer.dtype)
    return Batch(jnp.concatenate([shown, flag, rest]), jnp.concatenate([before, answer]))
