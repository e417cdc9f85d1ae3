"""Item recall: the item that came after the one that is asked for.

    input   (a) i_1  (a) i_2 ... (a) i_n  (q) i_k (q)  blank x 3
    answer                                             i_{k+1}

The associative recall of Graves, Wayne & Danihelka 2014, "Neural Turing machines", section 4.3.
An item is 3 vectors of 6 bits between delimiters, n uniform from 2 to 6, and k any but the last.
The delimiters of items (a) and of the question (q) are the last two input channels. (The task
`associative_recall` is another, with pairs of symbols.)

Items are independent, so two may be equal and the question ambiguous; with 18 bits that is rare.
Nothing is shown while the answer is due, so without memory every bit is 1 half of the time: 18
ln(2) nats a sequence.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import require_at_least
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


def item_recall(*, bits: int = 6, item_vectors: int = 3, fewest: int = 2, most: int = 6) -> Task:
    """Recall the item after the one asked for, among `fewest` to `most`; 2 inputs more.

    Args:
      bits: of a vector; 1 or more.
      item_vectors: vectors of an item; 1 or more.
      fewest: least number of items; 2 or more.
      most: largest number of items (their number is uniform).

    Raises `UsageError` for other numbers.
    """
    require_bits(bits)
    require_at_least(1, item_vectors=item_vectors)
    require_range(("fewest", fewest), ("most", most), floor=2)

    def at(items: int) -> Task:
        return item_recall(bits=bits, item_vectors=item_vectors, fewest=items, most=items)

    return bits_task(
        "item_recall",
        lambda key, batch_size: draw(key, batch_size, bits, item_vectors, fewest, most),
        input_size=bits + 2,
        output_size=bits,
        num_steps=(item_vectors + 1) * most + 2 * item_vectors + 2,
        baseline=even_baseline(bits * item_vectors),
        lengths=Lengths("items", (fewest, most), at, test=(most, 2 * most)),
    )


def draw(key: Key, batch_size: int, bits: int, item_vectors: int, fewest: int, most: int) -> Batch:
    """Sequences (T, B, bits + 2) of n items and the question; targets (T, B, bits)."""
    key_items, key_asked, key_bits = jax.random.split(key, 3)
    items_B = draw_counts(key_items, batch_size, fewest, most)
    asked_B = jax.random.randint(key_asked, (batch_size,), 0, items_B - 1, dtype=jnp.int32)
    vectors_VxBxI = draw_vectors(key_bits, batch_size, most * item_vectors, bits)
    size = item_vectors + 1  # of an item with its delimiter
    t_Tx1 = jnp.arange(size * most + 2 * size, dtype=jnp.int32)[:, None]
    end_1xB, asked_1xB = size * items_B[None, :], asked_B[None, :]
    listed_TxB, after_TxB = t_Tx1 < end_1xB, t_Tx1 - end_1xB
    within_Tx1 = t_Tx1 % size
    item_TxB = listed_TxB & (within_Tx1 == 0)
    asking_TxB = (after_TxB == 0) | (after_TxB == size)
    question_TxB = (after_TxB > 0) & (after_TxB < size)
    answered_TxB = (after_TxB > size) & (after_TxB < 2 * size)
    index_TxB = jnp.where(
        listed_TxB,
        t_Tx1 // size * item_vectors + within_Tx1 - 1,
        asked_1xB * item_vectors + after_TxB - 1,
    )
    shown_TxB = (listed_TxB & ~item_TxB) | question_TxB
    answer_TxB = (asked_1xB + 1) * item_vectors + after_TxB - size - 1
    flags = jnp.stack([item_TxB, asking_TxB], -1).astype(float)
    return Batch(
        jnp.concatenate([placed(vectors_VxBxI, index_TxB, shown_TxB), flags], -1),
        placed(vectors_VxBxI, answer_TxB, answered_TxB),
        size * items_B + 2 * size,
    )
