"""One vector in, a sequence of symbols out: what tasks of mode `one_to_many` have in common.

The vector is shown at the first step alone, and every later step shows the symbol before its own:

    step     0        1          2          ...
    input    v | 0    0 | s_0    0 | s_1    ...     of C + O channels, symbols one-hot
    target   s_0      s_1        s_2        ...     of O classes

In training and in an evaluation these are the true symbols, so the cross-entropy of a sequence is
exactly -ln p(s | v) = -sum_t ln p(s_t | s_0 .. s_{t-1}, v). `rnnexp sample` shows those drawn.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Finite, Score, Task
from rnnexp.tasks.density import PRIOR_COUNT, independent_bits
from rnnexp.tasks.scores import cross_entropy, once


def inputs_of(vector_BxC: Array, symbols_TxB: Array, kinds: int) -> Array:
    """The inputs (T, B, C + O) of sequences of `kinds` symbols, given their vectors."""
    shown_TxBxO = jax.nn.one_hot(symbols_TxB, kinds, dtype=vector_BxC.dtype)
    before_TxBxO = jnp.concatenate([jnp.zeros_like(shown_TxBxO[:1]), shown_TxBxO[:-1]])
    vector_TxBxC = jnp.zeros((len(symbols_TxB), *vector_BxC.shape), vector_BxC.dtype)
    return jnp.concatenate([vector_TxBxC.at[0].set(vector_BxC), before_TxBxO], -1)


def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """-ln p of every sequence given its vector, in nats."""
    return {"loss": once(jnp.sum(cross_entropy(logits_TxBxO, batch.targets), 0))}


def drawing_task(
    name: str, splits: Mapping[str, tuple[np.ndarray, np.ndarray]], *, classes: int
) -> Task:
    """A task that draws black and white pictures pixel by pixel, given their class.

    The baseline has independent pixels, with the frequencies of the class in the training set; a
    reference has those of all classes together.

    Args:
      splits: pictures (N, pixels) of 0 and 1, and classes (N,), for train, valid and test.
    """

    def take(arrays: Tree, indices_B: Array) -> Batch:
        pictures, labels = arrays
        targets_TxB = pictures[indices_B].T.astype(jnp.int32)
        vector_BxC = jax.nn.one_hot(labels[indices_B], classes, dtype=float)
        return Batch(inputs_of(vector_BxC, targets_TxB, 2), targets_TxB)

    sources = {
        split: Finite((jnp.asarray(pictures, jnp.uint8), jnp.asarray(labels)), len(labels), take)
        for split, (pictures, labels) in splits.items()
    }
    train, test = splits["train"], splits["test"]
    return Task(
        name=name,
        mode="one_to_many",
        input_size=classes + 2,
        output_size=2,
        num_steps=train[0].shape[1],
        train=sources["train"],
        valid=sources["valid"],
        test=sources["test"],
        scores=scores,
        baseline={"loss": independent_pixels(train, test, classes)},
        headline="loss",
        higher_is_better=False,
        causal=True,
        references={"loss without the class": independent_bits(train[0], test[0])},
    )


def independent_pixels(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], classes: int
) -> float:
    """Mean -ln p of test pictures under independent pixels of their class, as in training."""
    pictures_NxP, labels_N = train
    own_CxN = np.arange(classes)[:, None] == labels_N
    ones_CxP = own_CxN @ pictures_NxP.astype(float)
    p_CxP = (ones_CxP + PRIOR_COUNT) / (own_CxN.sum(1)[:, None] + 2 * PRIOR_COUNT)
    p_NxP = p_CxP[test[1]]
    return float(-np.mean(np.log(np.where(test[0] > 0, p_NxP, 1 - p_NxP)).sum(1)))
