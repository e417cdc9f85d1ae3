"""Black and white digits: the distribution of their pixels.

A pixel is white from the middle grey level on. scikit-learn's 8 x 8 digits are divided as in the
task `digits`, MNIST's 28 x 28 as in `mnist`.
"""

from pathlib import Path

from rnnexp.core.errors import require_choice
from rnnexp.core.seeds import require_seed
from rnnexp.data import digits as digits_data
from rnnexp.data import mnist as mnist_data
from rnnexp.tasks.base import Task
from rnnexp.tasks.density import density_task

IMAGES = ("digits", "mnist")
MNIST_VALID = 5_000


def binary_digits(
    *, images: str = "digits", split_seed: int = 0, data_dir: Path | None = None
) -> Task:
    """Black and white digits.

    Args:
      images: digits (8 x 8, no download) or mnist (28 x 28).
      split_seed: seed of the shuffle before digits are divided.
      data_dir: where to look for MNIST's files first.

    Raises `UsageError` for a bad option.
    """
    require_choice("images", images, IMAGES)
    require_seed("split_seed", split_seed)
    if images == "digits":
        parts = digits_data.divided(split_seed)
        whites = {name: digits_data.black_and_white(part) for name, part in parts.items()}
        return density_task("binary_digits", whites)
    sets = mnist_data.load(data_dir)
    whites = {name: of.images.reshape(-1, 784) >= 128 for name, of in sets.items()}
    cut = len(whites["train"]) - MNIST_VALID
    return density_task(
        "binary_digits",
        {"train": whites["train"][:cut], "valid": whites["train"][cut:], "test": whites["test"]},
    )
