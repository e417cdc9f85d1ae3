"""Tasks of mode `density`: bars and stripes, digits, their seeds, baselines and entropies."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.tasks.bars_and_stripes import all_patterns, bars_and_stripes
from rnnexp.tasks.base import Endless, Finite, Task
from rnnexp.tasks.binary_digits import binary_digits
from tests.helpers.data_files import DATA, data_or_skip


def whole(task: Task, split: str = "test") -> Batch:
    """All patterns of a split."""
    source = getattr(task, split)
    assert isinstance(source, Finite)
    batch: Batch = jax.jit(source.take)(source.arrays, jnp.arange(source.size, dtype=jnp.int32))
    return batch


@pytest.mark.parametrize(("side", "count"), [(2, 6), (3, 14), (4, 30)])
def test_bars_and_stripes_are_all_uniform_rows_or_columns(side: int, count: int) -> None:
    patterns = all_patterns(side).reshape(-1, side, side)
    assert len(patterns) == count
    found = {row.tobytes() for row in patterns}
    assert len(found) == count
    for picture in patterns:
        rows, columns = np.ptp(picture, 1), np.ptp(picture, 0)
        assert not rows.any() or not columns.any()
    task = bars_and_stripes(side=side)
    assert task.references == {"loss of the distribution itself": math.log(count)}
    # every pixel is on in half of the pictures, so independent bits know nothing
    assert task.baseline["loss"] == pytest.approx(side**2 * math.log(2), rel=1e-6)


def test_training_draws_all_pictures_equally_with_new_seeds() -> None:
    task = bars_and_stripes()
    assert isinstance(task.train, Endless)
    draw = jax.jit(task.train.draw, static_argnums=1)
    one, other = (draw(jax.random.key(k), 14_000) for k in (0, 1))
    numbers = np.asarray(one.targets) @ 2 ** np.arange(9)
    counts = np.unique(numbers, return_counts=True)[1]
    assert len(counts) == 14
    assert np.max(np.abs(counts - 1000)) < 4.5 * math.sqrt(1000)
    seeds = np.concatenate([np.asarray(b.context["seed"]) for b in (one, other)])
    assert len(np.unique(seeds, axis=0)) == 28_000
    np.testing.assert_array_equal(one.inputs_TxBxI[0], one.targets)
    np.testing.assert_array_equal(one.context["pattern"], one.targets)
    a, b = whole(task), whole(task)
    np.testing.assert_array_equal(a.context["seed"], b.context["seed"])
    assert len(np.unique(np.asarray(a.context["seed"]), axis=0)) == 14


def test_the_loss_of_independent_bits_is_the_baseline(x64: None) -> None:
    task = binary_digits()
    train, test = (np.asarray(whole(task, split).targets) for split in ("train", "test"))
    assert (train.shape, test.shape) == ((1257, 64), (360, 64))
    p = (train.sum(0) + 0.5) / (len(train) + 1)
    logits = jnp.broadcast_to(jnp.asarray(np.log(p / (1 - p))), test.shape)
    loss = task.scores(logits, whole(task))["loss"].mean()
    assert float(loss) == pytest.approx(task.baseline["loss"], rel=1e-10)
    parts = [
        {row.tobytes() for row in np.asarray(whole(task, split).targets)}
        for split in ("train", "valid", "test")
    ]
    assert len(parts[0] & parts[2]) < 20  # a few digits look alike in black and white


def test_epochs_of_digits_have_new_seeds() -> None:
    task = binary_digits()
    assert isinstance(task.train, Finite)
    assert task.train.augment is not None
    batch = whole(task, "valid")
    one, other = (task.train.augment(jax.random.key(k), batch) for k in (0, 1))
    assert not np.any(np.all(one.context["seed"] == other.context["seed"], -1))
    np.testing.assert_array_equal(one.targets, batch.targets)


def test_mnist() -> None:
    task = binary_digits(images="mnist", data_dir=data_or_skip(DATA["mnist"]))
    assert task.input_size == 784
    assert isinstance(task.train, Finite)
    assert (task.train.size, whole(task).targets.shape) == (55_000, (10_000, 784))
    assert 0.08 < np.mean(np.asarray(whole(task).targets)) < 0.14


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (bars_and_stripes, {"side": 1}, "side must be 2 to 8, not 1"),
        (binary_digits, {"images": "digit"}, "Did you mean 'digits'"),
        (binary_digits, {"split_seed": -1}, "split_seed"),
    ],
)
def test_bad_options(make: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        make(**options)
