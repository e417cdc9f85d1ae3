"""The copy task shows vectors, a flag and nothing, and asks for the vectors."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of
from tests.helpers.task_batches import mean_scores


@pytest.mark.parametrize(("bits", "shortest", "longest"), [(8, 1, 20), (1, 1, 1), (3, 4, 6)])
def test_sequences(bits: int, shortest: int, longest: int) -> None:
    task = build_task("ntm_copy", bits=bits, shortest=shortest, longest=longest)
    batch = batch_of(task, 200)
    assert batch.lengths_B is not None
    x, y = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets)
    lengths = [(int(steps) - 1) // 2 for steps in batch.lengths_B]
    assert set(lengths) == set(range(shortest, longest + 1))
    for b, length in enumerate(lengths):
        assert int(batch.lengths_B[b]) == 2 * length + 1
        shown, flag, asked = x[:length, b], x[length, b], x[length + 1 : 2 * length + 1, b]
        assert set(np.unique(shown[:, :bits])) <= {0, 1}
        assert not shown[:, bits].any()
        assert flag.tolist() == [0] * bits + [1]
        assert not asked.any()
        np.testing.assert_array_equal(y[length + 1 : 2 * length + 1, b], shown[:, :bits])


def test_without_memory_a_sequence_has_8_bits_a_vector() -> None:
    task = build_task("ntm_copy")
    assert task.baseline["loss"] == pytest.approx(8 * 10.5 * math.log(2))
    batch = batch_of(task, 2000)
    outputs = jnp.zeros(batch.targets.shape)
    per_sequence = task.scores(outputs, batch)["loss"].total_B / math.log(2)
    assert batch.lengths_B is not None
    np.testing.assert_allclose(per_sequence, 8 * (batch.lengths_B - 1) / 2, rtol=1e-5)
    for bias in (-0.3, 0.3):  # no other answer is better, and as many bits are wrong
        scores = mean_scores(task, outputs + bias, batch)
        assert scores["loss"] > mean_scores(task, outputs, batch)["loss"]
        np.testing.assert_allclose(scores["error_rate"], 0.5, atol=0.006)  # of 168,000 bits
        np.testing.assert_allclose(scores["wrong_bits"], task.baseline["wrong_bits"], rtol=0.03)
