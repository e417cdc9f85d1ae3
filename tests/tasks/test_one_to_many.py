"""One vector in, a sequence out: what a step sees, exact likelihoods, and the baseline."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.lstm import lstm
from rnnexp.core.types import Array, Batch
from rnnexp.data.digits import load
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.tasks.digits_drawing import digits_drawing
from rnnexp.tasks.one_to_many import drawing_task, inputs_of, scores
from rnnexp.train.check_task import check_task
from tests.helpers.bits import all_bits
from tests.helpers.task_batches import batch_of

CLASSES, PIXELS = 3, 4


def model() -> SequenceModel:
    """An LSTM with weights of size 1."""
    made = SequenceModel(
        lambda size, layer: lstm(size, 5), structure=Structure(), input_size=CLASSES + 2,
        output_size=2, mode="one_to_many", key=jax.random.key(0),
    )  # fmt: skip
    made.readout.kernel[...] = jax.random.normal(jax.random.key(1), (5, 2)) * 3
    return made


def nats(model: SequenceModel, pictures_NxP: np.ndarray, number: int) -> Array:
    """-ln p of every picture given its class."""
    targets_TxB = jnp.asarray(pictures_NxP, jnp.int32).T
    vector_BxC = jax.nn.one_hot(jnp.full(len(pictures_NxP), number), CLASSES, dtype=float)
    inputs = inputs_of(vector_BxC, targets_TxB, 2)
    return scores(model(inputs).outputs, Batch(inputs, targets_TxB))["loss"].total_B


def test_a_step_sees_the_vector_first_and_then_the_symbol_before() -> None:
    symbols_TxB = jnp.array([[2, 0], [1, 1], [0, 2]])
    found = inputs_of(jnp.array([[0.5, -1.0], [3.0, 4.0]]), symbols_TxB, 3)
    assert found[:, 0].tolist() == [[0.5, -1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert found[:, 1].tolist() == [[3, 4, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]


def test_the_probabilities_of_all_pictures_of_a_class_sum_to_1() -> None:
    drawer, pictures = model(), all_bits(PIXELS)
    p = np.array([np.exp(-np.asarray(nats(drawer, pictures, k))) for k in range(CLASSES)])
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert np.max(np.abs(p[0] - p[1])) > 1e-3  # the class has a say
    assert np.ptp(p[0]) > 1e-2


def test_the_baseline_is_the_frequency_of_each_pixel_in_its_class() -> None:
    random = np.random.default_rng(0)
    splits = {}
    for split, size in {"train": 40, "valid": 10, "test": 20}.items():
        labels = random.integers(0, CLASSES, size)
        splits[split] = (random.random((size, PIXELS)) < 0.2 + 0.3 * labels[:, None], labels)
    task = check_task("small", drawing_task("small", splits, classes=CLASSES), ["one_to_many"])
    pictures, labels = splits["train"]
    total = 0.0
    for picture, label in zip(*splits["test"], strict=True):
        own = pictures[labels == label]
        for at in range(PIXELS):
            p = (own[:, at].sum() + 0.5) / (len(own) + 1)
            total -= math.log(p if picture[at] else 1 - p)
    np.testing.assert_allclose(task.baseline["loss"], total / 20, rtol=1e-12)
    assert task.baseline["loss"] < task.references["loss without the class"]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_digits_are_drawn_in_the_order_of_reading(split: str) -> None:
    task, data = digits_drawing(), load()
    batch = batch_of(task, split, 50)
    known = {(tuple(image.ravel() >= 8), int(label)) for image, label in zip(*data, strict=True)}
    classes = np.argmax(batch.inputs_TxBxI[0, :, :10], -1)
    pictures = np.asarray(batch.targets).T
    found = {(tuple(row == 1), int(k)) for row, k in zip(pictures, classes, strict=True)}
    assert found <= known
    assert len(found) > 40
