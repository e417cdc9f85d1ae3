"""The adding task marks two values, by its form; its target is their sum or product."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.train.build import build_task
from tests.helpers.task_batches import batch_of, mean_scores


def test_adding() -> None:
    task = build_task("adding", length_steps=31)
    batch = batch_of(task, size=20_000)
    value, marker = batch.inputs_TxBxI[..., 0], batch.inputs_TxBxI[..., 1]
    np.testing.assert_array_equal(jnp.sum(marker[:15], 0), 1)
    np.testing.assert_array_equal(jnp.sum(marker[15:], 0), 1)
    np.testing.assert_allclose(jnp.sum(value * marker, 0), batch.targets[:, 0], rtol=1e-6)
    assert mean_scores(task, batch.targets, batch) == {"loss": 0}
    ones = mean_scores(task, jnp.ones((20_000, 1)), batch)
    # the squared error of a sum of two uniforms has deviation 0.186, its mean here 0.0013
    np.testing.assert_allclose(ones["loss"], task.baseline["loss"], atol=0.0066)


@pytest.mark.parametrize("form", ["2015", "1997"])
@pytest.mark.parametrize("operation", ["sum", "product"])
def test_baseline_is_the_variance_of_the_target(form: str, operation: str) -> None:
    """At T = 20 the first step is drawn in a fifth of the sequences of 1997."""
    task = build_task("adding", length_steps=20, form=form, operation=operation)
    targets = np.asarray(batch_of(task, size=50_000).targets, float)[:, 0]
    squares = (targets - targets.mean()) ** 2
    off = 4.5 * squares.std() / np.sqrt(len(squares))
    np.testing.assert_allclose(squares.mean(), task.baseline["loss"], atol=off)


@pytest.mark.parametrize("operation", ["sum", "product"])
def test_form_of_1997(operation: str) -> None:
    T, size = 40, 20_000
    task = build_task("adding", length_steps=T, form="1997", operation=operation)
    batch = batch_of(task, size=size)
    assert batch.lengths_B is not None
    lengths, inputs = np.asarray(batch.lengths_B), np.asarray(batch.inputs_TxBxI)
    value, marker = inputs[..., 0], inputs[..., 1]
    assert set(lengths) == set(range(T, T + 5))
    assert task.num_steps == len(inputs) == T + 4
    last = marker[lengths - 1, np.arange(size)]
    np.testing.assert_array_equal(marker[0], -1)
    np.testing.assert_array_equal(last, -1)
    valid = np.arange(T + 4)[:, None] < lengths
    np.testing.assert_array_equal(((marker == -1) & valid).sum(0), 2)
    shown = value[valid]
    assert (shown.min() < -0.99) == (operation == "sum")
    marks = [np.flatnonzero(column == 1) for column in marker.T]
    # step 0 is drawn in 1/10 + 9/10 / 19 of the sequences, and its mark is lost
    lost = np.array([len(places) == 1 for places in marks])
    np.testing.assert_allclose(lost.mean(), 0.1 + 0.9 / 19, atol=4.5 * np.sqrt(0.13 / size))
    both = np.array([places for places in marks if len(places) == 2])
    assert set(both[:, 0]) == set(range(1, 10))
    assert set(both[:, 1]) == set(range(2, T // 2))
    for n in range(100):
        kept = value[marks[n], n]
        wanted = kept.prod() if operation == "product" else kept.sum() / 4 + 0.5
        np.testing.assert_allclose(batch.targets[n, 0], wanted, rtol=1e-5)
