"""scikit-learn's 8 x 8 digits, pixel by pixel: 64 steps of one grey level.

Small enough to train in seconds and embedded in a dependency: the first run on real
data that needs no file.
"""

import numpy as np

from rnnexp.data import digits as digits_data
from rnnexp.tasks.base import Task
from rnnexp.tasks.images import image_sequence_task

VALID, TEST = 180, 360


def digits(*, split_seed: int = 0) -> Task:
    """Classify 8 x 8 digits read pixel by pixel.

    The 1,797 images are shuffled by `numpy.random.default_rng(split_seed)` (the file is
    ordered by writer) and cut into 1,257 for training, 180 for validation, 360 for test.

    Args:
      split_seed: seed of the shuffle before the images are cut into splits.
    """
    data = digits_data.load()
    order = np.random.default_rng(split_seed).permutation(len(data.labels))
    images, labels = data.images.reshape(-1, 64)[order], data.labels[order]
    ends = np.cumsum([len(order) - VALID - TEST, VALID, TEST])
    starts = [0, *ends[:-1]]
    splits = {
        name: (images[start:end], labels[start:end])
        for name, start, end in zip(("train", "valid", "test"), starts, ends, strict=True)
    }
    return image_sequence_task("digits", splits, features=1, white=16.0)
