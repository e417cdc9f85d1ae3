"""scikit-learn's 8 x 8 digits, pixel by pixel: 64 steps of one grey level.

Real data that trains in seconds and needs no download.
"""

import numpy as np

from rnnexp.core.seeds import require_seed
from rnnexp.data import digits as digits_data
from rnnexp.tasks.base import Task
from rnnexp.tasks.images import image_sequence_task

VALID, TEST = 180, 360


def digits(*, split_seed: int = 0) -> Task:
    """Classify 8 x 8 digits read pixel by pixel.

    `numpy.random.default_rng(split_seed)` shuffles the 1,797 images (the file is ordered
    by writer): 1,257 are for training, 180 for validation, 360 for test.

    Args:
      split_seed: seed of the shuffle.
    """
    require_seed("split_seed", split_seed)
    data = digits_data.load()
    order = np.random.default_rng(split_seed).permutation(len(data.labels))
    images, labels = data.images.reshape(-1, 64)[order], data.labels[order]
    ends = [len(order) - VALID - TEST, len(order) - TEST]
    parts = zip(np.split(images, ends), np.split(labels, ends), strict=True)
    splits = dict(zip(("train", "valid", "test"), parts, strict=True))
    return image_sequence_task("digits", splits, features=1, white=16.0)
