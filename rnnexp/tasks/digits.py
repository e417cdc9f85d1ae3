"""scikit-learn's 8 x 8 digits, pixel by pixel: 64 steps of one grey level.

Real data that trains in seconds and needs no download.
"""

from rnnexp.core.seeds import require_seed
from rnnexp.data.digits import divided
from rnnexp.tasks.base import Task
from rnnexp.tasks.images import image_sequence_task


def digits(*, split_seed: int = 0) -> Task:
    """Classify 8 x 8 digits read pixel by pixel.

    `numpy.random.default_rng(split_seed)` shuffles the 1,797 images (the file is ordered
    by writer): 1,257 are for training, 180 for validation, 360 for test.

    Args:
      split_seed: seed of the shuffle.
    """
    require_seed("split_seed", split_seed)
    splits = {
        split: (part.images.reshape(-1, 64), part.labels)
        for split, part in divided(split_seed).items()
    }
    return image_sequence_task("digits", splits, features=1, white=16.0)
