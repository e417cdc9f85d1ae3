"""Workloads: their arithmetic by hand, and the batch that all contenders get."""

import math

import numpy as np
import pytest

from rnnexp.bench.floor import Rates
from rnnexp.bench.workloads import Workload, draw, step_bytes, step_flops
from tests.helpers.bench_rows import TINY, row


def test_operations_of_a_step_by_hand() -> None:
    work = Workload("x", "", steps=2, batch_size=3, input_size=5, hidden_size=7)
    forward, of_states = 2 * 2 * 3 * (5 + 7) * 28, 2 * 2 * 3 * 7 * 28
    of_weights = forward
    assert step_flops(work, "lstm") == forward + of_states + of_weights
    assert step_flops(work._replace(train=False), "lstm") == forward
    of_inputs = 2 * 2 * 3 * 14 * 28  # of the second layer, whose inputs are two cells' states
    deep = work._replace(layers=2, both_ways=True)
    second = 3 * (of_inputs + 2 * 2 * 3 * 7 * 28)
    assert step_flops(deep, "lstm") == 2 * (forward + of_states + of_weights + second)
    lengths = draw(work._replace(lengths=True)).lengths_B
    assert lengths is not None
    shares = step_flops(work._replace(lengths=True), "lstm") / step_flops(work, "lstm")
    assert shares == pytest.approx(lengths.sum() / 6)


def test_bytes_of_a_step_by_hand() -> None:
    work = Workload("x", "", steps=2, batch_size=3, input_size=5, hidden_size=7)
    assert step_bytes(work, "rnn") == 4 * 2 * 3 * 2 * (5 + 7)
    assert step_bytes(work, "lstm") == 4 * 2 * 3 * 2 * (5 + 6 * 7)
    assert step_bytes(work._replace(train=False), "lstm") == 4 * 2 * 3 * (5 + 7)


def test_shares_are_of_the_machine_and_of_xla() -> None:
    found, flops = row(), step_flops(TINY, "lstm")
    assert found.share_of_xla("rnnexp") == pytest.approx(flops / 2e-3 / 1e9)
    assert found.share("rnnexp") == pytest.approx(flops / 2e-3 / 4e9)
    slow_memory = found._replace(machine=Rates(1e15, 1e6))
    assert slow_memory.floor_ms() == pytest.approx(1e3 * step_bytes(TINY, "lstm") / 1e6)
    assert math.isnan(found._replace(machine=None).share("rnnexp"))


def test_the_batch_is_the_same_for_all_and_has_the_workload_s_shape() -> None:
    x, classes, lengths = draw(TINY)
    assert x.shape == (20, 4, 3)
    assert classes.shape == (4,)
    assert lengths is None
    np.testing.assert_array_equal(x, draw(TINY)[0])
    lengths = draw(TINY._replace(lengths=True)).lengths_B
    assert lengths is not None
    assert lengths.shape == (4,)
    assert 5 <= lengths.min() <= lengths.max() <= 20
