"""scikit-learn's 8 x 8 digits, drawn: a class in, its 64 pixels out, one after the other.

A pixel is white from the middle grey level on, as in `binary_digits`, and the digits are divided as
in the task `digits`. The distribution of a picture's pixels in their order is that of van den Oord,
Kalchbrenner & Kavukcuoglu 2016, "Pixel recurrent neural networks".
"""

from rnnexp.core.seeds import require_seed
from rnnexp.data.digits import CLASSES, black_and_white, divided
from rnnexp.tasks.base import Task
from rnnexp.tasks.one_to_many import drawing_task


def digits_drawing(*, split_seed: int = 0) -> Task:
    """Draw black and white digits of a class, pixel by pixel.

    Args:
      split_seed: seed of the shuffle before digits are divided.
    """
    require_seed("split_seed", split_seed)
    parts = {
        split: (black_and_white(part), part.labels) for split, part in divided(split_seed).items()
    }
    return drawing_task("digits_drawing", parts, classes=CLASSES)
