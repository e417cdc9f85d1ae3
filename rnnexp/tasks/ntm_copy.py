"""Copy: write down a sequence of bit vectors after all of it was shown.

    input   v_1 ... v_L  flag  blank x L
    answer                     v_1 ... v_L

Graves, Wayne & Danihelka 2014, "Neural Turing machines", section 4.1: vectors of 8 bits, L
uniform from 1 to 20, tested on longer sequences too. The flag has a channel of its own, the last
one. Nothing is shown while the answer is due, so without memory every bit is 1 half of the time:
8 L ln(2) nats a sequence.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.types import Batch, Key
from rnnexp.tasks.base import Lengths, Task
from rnnexp.tasks.bit_vectors import (
    bits_task,
    draw_counts,
    draw_vectors,
    even_baseline,
    placed,
    require_bits,
    require_range,
)


def ntm_copy(*, bits: int = 8, shortest: int = 1, longest: int = 20) -> Task:
    """Copy `shortest` to `longest` vectors of `bits` bits; inputs have one channel more.

    Args:
      bits: of a vector; 1 or more.
      shortest: vectors of the shortest sequence; 1 or more.
      longest: vectors of the longest sequence (L is uniform).

    Raises `UsageError` for other numbers.
    """
    require_bits(bits)
    require_range(("shortest", shortest), ("longest", longest))
    return bits_task(
        "ntm_copy",
        lambda key, batch_size: draw(key, batch_size, bits, shortest, longest),
        input_size=bits + 1,
        output_size=bits,
        num_steps=2 * longest + 1,
        baseline=even_baseline(bits * (shortest + longest) / 2),
        lengths=Lengths(
            "vectors",
            (shortest, longest),
            at=lambda n: ntm_copy(bits=bits, shortest=n, longest=n),
            test=(longest, 2 * longest),
        ),
    )


def draw(key: Key, batch_size: int, bits: int, shortest: int, longest: int) -> Batch:
    """Sequences (T, B, bits + 1) of 2 L + 1 steps; targets (T, B, bits), 0 before the answer."""
    key_length, key_bits = jax.random.split(key)
    length_B = draw_counts(key_length, batch_size, shortest, longest)
    vectors_LxBxI = draw_vectors(key_bits, batch_size, longest, bits)
    t_Tx1 = jnp.arange(2 * longest + 1, dtype=jnp.int32)[:, None]
    shown_TxB = t_Tx1 < length_B[None, :]
    flag_TxB = t_Tx1 == length_B[None, :]
    index_TxB = t_Tx1 - length_B[None, :] - 1
    answered_TxB = (index_TxB >= 0) & (index_TxB < length_B[None, :])
    vectors_TxBxI = placed(vectors_LxBxI, jnp.broadcast_to(t_Tx1, shown_TxB.shape), shown_TxB)
    inputs = jnp.concatenate([vectors_TxBxI, flag_TxB[..., None].astype(float)], -1)
    return Batch(inputs, placed(vectors_LxBxI, index_TxB, answered_TxB), 2 * length_B + 1)
