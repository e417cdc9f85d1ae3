"""Recall of patterns: damage, correlation, scores and what a multiple of the cue scores."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.tasks.base import Endless, Task
from rnnexp.tasks.pattern_recall import pattern_recall
from tests.helpers.data_files import DATA, data_or_skip


def drawn(task: Task, split: str = "train", seed: int = 0) -> Batch:
    source = getattr(task, split)
    assert isinstance(source, Endless)
    batch: Batch = jax.jit(source.draw, static_argnums=1)(jax.random.key(seed), 400)
    return batch


@pytest.mark.parametrize(("flipped", "erased"), [(0.1, 0.0), (0.125, 0.3), (0.0, 0.5)])
def test_a_cue_is_a_damaged_pattern_and_its_best_multiple_is_the_baseline(
    flipped: float, erased: float
) -> None:
    task = pattern_recall(size=40, count=3, flipped=flipped, erased=erased)
    batch = drawn(task)
    stored, cue = np.asarray(batch.context["patterns"]), np.asarray(batch.context["cue"])
    assert stored.shape == (400, 3, 40)
    np.testing.assert_array_equal(np.abs(stored), 1)
    np.testing.assert_array_equal(batch.targets, stored[:, 0])
    np.testing.assert_array_equal(batch.inputs_TxBxI[0], cue)
    np.testing.assert_array_equal(np.sum(cue == 0, 1), round(40 * erased))
    np.testing.assert_array_equal(np.sum(cue == -stored[:, 0], 1), round(40 * flipped))
    scored = {
        factor: {
            k: float(s.mean()) for k, s in task.scores(factor * jnp.asarray(cue), batch).items()
        }
        for factor in np.linspace(0.1, 1.2, 111).astype(np.float32)
    }
    best = min(scored.values(), key=lambda of: of["loss"])
    assert best["loss"] == pytest.approx(task.baseline["loss"], abs=1e-4)
    assert best["overlap"] == pytest.approx(task.baseline["overlap"], abs=1e-5)


def test_correlated_patterns() -> None:
    stored = np.asarray(
        drawn(pattern_recall(size=100, count=2, correlation=0.36)).context["patterns"]
    )
    products = np.mean(stored[:, 0] * stored[:, 1], 1)
    assert np.mean(products) == pytest.approx(0.36, abs=4 * float(np.std(products)) / 20)


def test_scores_of_known_answers() -> None:
    task = pattern_recall(size=20, count=2)
    batch = drawn(task)
    target, other = (np.asarray(batch.context["patterns"])[:, k] for k in (0, 1))
    answers = {
        "the pattern": (0.5 * target, {"loss": 0.25, "overlap": 1, "retrieved": 1, "spurious": 0}),
        "its negative": (-target, {"loss": 4, "overlap": -1, "retrieved": 0, "spurious": 0}),
        "nothing": (0 * target, {"loss": 1, "overlap": 0, "retrieved": 0, "spurious": 1}),
    }
    for answer, expected in answers.values():
        got = task.scores(jnp.asarray(answer), batch)
        assert {name: float(score.mean()) for name, score in got.items()} == pytest.approx(expected)
    got = task.scores(jnp.asarray(other), batch)
    assert float(got["spurious"].mean()) == 0
    assert float(got["overlap"].mean()) == pytest.approx(np.mean(other * target), abs=1e-5)


def test_digits_of_a_split_are_in_no_other() -> None:
    task = pattern_recall(patterns="digits", count=50)
    assert (task.input_size, task.output_size) == (64, 64)
    seen = [
        {
            row.tobytes()
            for row in np.asarray(drawn(task, split).context["patterns"]).reshape(-1, 64)
        }
        for split in ("train", "valid", "test")
    ]
    shared = len(seen[0] & seen[1])
    assert all(len(part) > 500 for part in seen)
    assert shared < 30  # a few digits look alike in black and white
    one = np.asarray(drawn(task).context["patterns"])[0]
    assert len({row.tobytes() for row in one}) > 45  # drawn without replacement


def test_mnist() -> None:
    task = pattern_recall(patterns="mnist", count=3, data_dir=data_or_skip(DATA["mnist"]))
    batch = drawn(task, "test")
    assert batch.targets.shape == (400, 784)
    white = np.mean(np.asarray(batch.targets) > 0)
    assert 0.08 < white < 0.14


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"patterns": "digit"}, "Did you mean 'digits'"),
        ({"count": 0}, "count must be 1 to"),
        ({"patterns": "digits", "count": 600}, "count must be 1 to 599"),
        ({"size": 1}, "size must be at least 2"),
        ({"correlation": 1.0}, "correlation must be at least 0 and below 1"),
        ({"patterns": "digits", "correlation": 0.5}, "images have their own"),
        ({"flipped": -0.1}, "flipped must be"),
        ({"flipped": 0.5, "erased": 0.5}, "below 1 together, not 1"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        pattern_recall(**options)
