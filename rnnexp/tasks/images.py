"""Batches, scores and baselines of tasks that read images as sequences."""

import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.classification import classification_scores

CLASSES = 10


def image_sequence_task(
    name: str, splits: dict[str, tuple[np.ndarray, np.ndarray]], *, features: int, white: float
) -> Task:
    """A task that classifies images read `features` pixels a step.

    Args:
      splits: flattened images (N, pixels) and labels (N,) for train, valid and test.
      features: pixels of one step; the sequence has pixels / features steps.
      white: the grey level that becomes 1.0.
    """

    def take(arrays: Tree, indices_B: Array) -> Batch:
        """Images as (T, B, features) in [0, 1]."""
        images, labels = arrays
        picked = images[indices_B].astype(float) / white
        x_BxTxI = picked.reshape(len(indices_B), -1, features)
        return Batch(jnp.swapaxes(x_BxTxI, 0, 1), labels[indices_B].astype(jnp.int32))

    sources = {
        split: Finite((jnp.asarray(images), jnp.asarray(labels)), len(labels), take)
        for split, (images, labels) in splits.items()
    }
    return Task(
        name=name,
        mode="sequence_to_one",
        input_size=features,
        output_size=CLASSES,
        num_steps=splits["train"][0].shape[1] // features,
        train=sources["train"],
        valid=sources["valid"],
        test=sources["test"],
        scores=classification_scores,
        baseline=prior_baseline(splits["train"][1], splits["test"][1]),
        headline="accuracy",
        higher_is_better=True,
    )


def prior_baseline(train_labels: np.ndarray, test_labels: np.ndarray) -> dict[str, float]:
    """Scores on the test set of the class frequencies of the training set."""
    prior = np.bincount(train_labels, minlength=CLASSES) / len(train_labels)
    return {
        "loss": float(-np.mean(np.log(prior[test_labels]))),
        "accuracy": float(np.mean(test_labels == np.argmax(prior))),
    }
