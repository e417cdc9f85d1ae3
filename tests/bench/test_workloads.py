"""Workloads: their arithmetic by hand, and the batch that all contenders get."""

import numpy as np
import pytest

from rnnexp.bench.workloads import Workload, draw, step_flops
from tests.helpers.bench_rows import TINY, row


def test_operations_of_a_step_by_hand() -> None:
    work = Workload("x", "", steps=2, batch_size=3, input_size=5, hidden_size=7)
    forward, of_states = 2 * 2 * 3 * (5 + 7) * 28, 2 * 2 * 3 * 7 * 28
    of_weights = forward
    assert step_flops(work, "lstm") == forward + of_states + of_weights
    assert row().share("rnnexp") == pytest.approx(step_flops(TINY, "lstm") / 2e-3 / 1e9)


def test_the_batch_is_the_same_for_all_and_has_the_workload_s_shape() -> None:
    x, classes = draw(TINY)
    assert x.shape == (20, 4, 3)
    assert classes.shape == (4,)
    np.testing.assert_array_equal(x, draw(TINY)[0])
