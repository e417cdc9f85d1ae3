"""MNIST as a sequence: row by row (28 steps of 28) or pixel by pixel (784 steps of 1).

Pixel by pixel and permuted are the tasks of Le, Jaitly & Hinton 2015, section 4.2.
Papers do not share a permutation, so its seed is part of the result.
"""

from pathlib import Path

import numpy as np

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.seeds import require_seed
from rnnexp.data import mnist as mnist_data
from rnnexp.tasks.base import Task
from rnnexp.tasks.images import image_sequence_task

FEATURES = {"row": 28, "pixel": 1}


def mnist(
    *,
    by: str = "row",
    permuted: bool = False,
    permutation_seed: int = 0,
    validation_examples: int = 5_000,
    data_dir: Path | None = None,
) -> Task:
    """Classify MNIST digits read as a sequence.

    Args:
      by: row (28 steps of 28 pixels) or pixel (784 steps of one).
      permuted: reorder the 784 pixels of every image by one fixed permutation (pixel only),
        `numpy.random.default_rng(permutation_seed).permutation(784)`.
      permutation_seed: seed of that permutation.
      validation_examples: number of training images, the last, that are held out.
      data_dir: where to look for the files first.
    """
    require_choice("reading order 'by'", by, FEATURES)
    if permuted and by != "pixel":
        raise UsageError("permuted=True needs by='pixel': rows of permuted pixels mean nothing")
    if not 0 < validation_examples < 60_000:
        raise UsageError(f"validation_examples must be 1 to 59,999, not {validation_examples}")
    require_seed("permutation_seed", permutation_seed)
    sets = mnist_data.load(data_dir)
    images = {name: s.images.reshape(-1, 784) for name, s in sets.items()}
    if permuted:
        order = np.random.default_rng(permutation_seed).permutation(784)
        images = {name: pixels[:, order] for name, pixels in images.items()}
    labels = {name: s.labels for name, s in sets.items()}
    cut = 60_000 - validation_examples
    splits = {
        "train": (images["train"][:cut], labels["train"][:cut]),
        "valid": (images["train"][cut:], labels["train"][cut:]),
        "test": (images["test"], labels["test"]),
    }
    return image_sequence_task("mnist", splits, features=FEATURES[by], white=255.0)
