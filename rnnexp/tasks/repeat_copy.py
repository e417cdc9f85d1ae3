"""Repeat copy: write down a sequence of bit vectors R times, and an end marker.

    input   v_1 ... v_L  (R, flag)  blank x (L R + 1)
    answer                          v_1 ... v_L  v_1 ... v_L  ...  end

Graves, Wayne & Danihelka 2014, "Neural Turing machines", section 4.2: 8 bits, L and R uniform
from 1 to 10. R has a channel of its own with mean 0 and variance 1 over the numbers of training;
the flag, in the last channel, tells its place where that is 0. The end marker is an output of its
own, 1 after the last copy, where the bits are 0.

All inputs are blank while the answer is due, so without memory the answer is constant: every bit
with the frequency of ones among L R + 1 steps, and the marker likewise.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Lengths, Task
from rnnexp.tasks.bit_vectors import (
    bits_task,
    draw_counts,
    draw_vectors,
    placed,
    require_bits,
    require_range,
)

Range = tuple[int, int]
"""The least and the most of a uniform whole number."""


def repeat_copy(
    *, bits: int = 8, shortest: int = 1, longest: int = 10, fewest: int = 1, most: int = 10
) -> Task:
    """Copy `shortest` to `longest` vectors `fewest` to `most` times; 2 inputs, 1 output more.

    Tests at other lengths change the repeats, and keep the lengths of the sequences and what
    the channel of R shows for a number.

    Args:
      bits: of a vector; 1 or more.
      shortest: vectors of the shortest sequence; 1 or more.
      longest: vectors of the longest sequence (L is uniform).
      fewest: least number of copies; 1 or more.
      most: largest number of copies (R is uniform).

    Raises `UsageError` for other numbers.
    """
    require_bits(bits)
    require_range(("shortest", shortest), ("longest", longest))
    require_range(("fewest", fewest), ("most", most))
    return _task(bits, (shortest, longest), (fewest, most), (fewest, most))


def _task(bits: int, lengths: Range, repeats: Range, trained: Range) -> Task:
    """The task with these repeats, of a network that trains on others."""
    return bits_task(
        "repeat_copy",
        lambda key, batch_size: draw(key, batch_size, bits, lengths, repeats, trained),
        input_size=bits + 2,
        output_size=bits + 1,
        num_steps=lengths[1] * (1 + repeats[1]) + 2,
        baseline=constant_baseline(bits, sum(lengths) / 2 * sum(repeats) / 2),
        lengths=Lengths(
            "repeats",
            trained,
            at=lambda n: _task(bits, lengths, (n, n), trained),
            test=(trained[1], 2 * trained[1]),
        ),
    )


def draw(
    key: Key, batch_size: int, bits: int, lengths: Range, repeats: Range, trained: Range
) -> Batch:
    """Sequences (T, B, bits + 2) of L + L R + 2 steps; targets (T, B, bits + 1)."""
    key_length, key_repeat, key_bits = jax.random.split(key, 3)
    length_B = draw_counts(key_length, batch_size, *lengths)
    repeat_B = draw_counts(key_repeat, batch_size, *repeats)
    vectors_LxBxI = draw_vectors(key_bits, batch_size, lengths[1], bits)
    t_Tx1 = jnp.arange(lengths[1] * (1 + repeats[1]) + 2, dtype=jnp.int32)[:, None]
    length_1xB, copied_1xB = length_B[None, :], (length_B * repeat_B)[None, :]
    shown_TxB, flag_TxB = t_Tx1 < length_1xB, t_Tx1 == length_1xB
    place_TxB = t_Tx1 - length_1xB - 1
    answered_TxB, end_TxB = (place_TxB >= 0) & (place_TxB < copied_1xB), place_TxB == copied_1xB
    number_TxB = jnp.where(flag_TxB, normalised(repeat_B, trained)[None, :], jnp.zeros(()))
    vectors_TxBxI = placed(vectors_LxBxI, jnp.broadcast_to(t_Tx1, shown_TxB.shape), shown_TxB)
    answer_TxBxI = placed(vectors_LxBxI, place_TxB % length_1xB, answered_TxB)
    channels = [number_TxB, flag_TxB.astype(float)]
    return Batch(
        jnp.concatenate([vectors_TxBxI, jnp.stack(channels, -1)], -1),
        jnp.concatenate([answer_TxBxI, end_TxB[..., None].astype(float)], -1),
        length_B + copied_1xB[0] + 2,
    )


def normalised(repeat_B: Array, trained: Range) -> Array:
    """The numbers with mean 0 and variance 1 where they are uniform in the range of training.

    n numbers in a row have the variance (n^2 - 1) / 12; a single one is only centred.
    """
    least, most = trained
    deviation = math.sqrt(((most - least + 1) ** 2 - 1) / 12) or 1.0
    return (repeat_B.astype(float) - (least + most) / 2) / deviation


def constant_baseline(bits: int, copied: float) -> dict[str, float]:
    """The scores of the best constant answer, of `copied` = E[L R] vectors and an end on average.

    A bit is 1 in half of the copied vectors and never at the end, the marker at the end alone;
    both are 1 in at most half of the steps, so 0 is the likelier.
    """
    steps = copied + 1
    one, end = copied / 2 / steps, 1 / steps
    wrong = bits * copied / 2 + 1
    return {
        "loss": steps * (bits * entropy(one) + entropy(end)),
        "wrong_bits": wrong,
        "error_rate": wrong / (steps * (bits + 1)),
    }


def entropy(probability: float) -> float:
    """The entropy of a bit in nats."""
    other = 1 - probability
    return -probability * math.log(probability) - other * math.log(other)
