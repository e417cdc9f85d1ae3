"""Item recall lists items, asks for one, and expects the next; its baseline is chance."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of, spread
from tests.helpers.task_batches import mean_scores


@pytest.mark.parametrize(
    ("bits", "vectors", "fewest", "most"), [(6, 3, 2, 6), (12, 1, 2, 2), (4, 4, 5, 5)]
)
def test_sequences(bits: int, vectors: int, fewest: int, most: int) -> None:
    task = build_task("item_recall", bits=bits, item_vectors=vectors, fewest=fewest, most=most)
    batch = batch_of(task, 300)
    assert batch.lengths_B is not None
    x, y, seen = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets), set()
    for b, steps in enumerate(np.asarray(batch.lengths_B)):
        item_flags, query_flags = (np.flatnonzero(x[:steps, b, bits + n]) for n in (0, 1))
        items = [x[at + 1 : at + 1 + vectors, b, :bits] for at in item_flags]
        assert np.diff([*item_flags, query_flags[0]]).tolist() == [vectors + 1] * len(items)
        first, last = query_flags
        assert last == first + vectors + 1
        assert steps == last + 1 + vectors
        question, answer = x[first + 1 : last, b, :bits], y[last + 1 : steps, b]
        same = [k for k, item in enumerate(items[:-1]) if np.array_equal(item, question)]
        assert any(np.array_equal(items[k + 1], answer) for k in same)
        assert not x[last + 1 : steps, b].any()
        seen.add((len(items), same[0]))
    for count in range(fewest, most + 1):
        assert {asked for items, asked in seen if items == count} == set(range(count - 1))


def test_without_memory_an_item_has_18_bits() -> None:
    task = build_task("item_recall")
    assert task.baseline["loss"] == pytest.approx(18 * math.log(2))
    batch = batch_of(task, 2000)
    scores = mean_scores(task, jnp.zeros(batch.targets.shape), batch)
    np.testing.assert_allclose(scores["loss"], task.baseline["loss"], rtol=1e-5)
    np.testing.assert_allclose(scores["error_rate"], 0.5, atol=spread(2, 36_000))
    np.testing.assert_allclose(scores["wrong_bits"], 9, rtol=0.03)
