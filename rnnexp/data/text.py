"""Text files as sequences of symbols.

Tiny Shakespeare: Karpathy 2015, "The unreasonable effectiveness of recurrent neural
networks". 1,115,394 characters, 65 of them distinct.
"""

import hashlib
import math
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.data.files import DataFile

BYTE_ORDER_MARK = "\ufeff"
"""Editors put it in front of a text to say that it is UTF-8. It is no symbol of the text."""
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def read_text(path: Path) -> str:
    """All characters of a UTF-8 file, line ends as they are, without a byte order mark in front.

    Raises `UsageError` if the file cannot be read, is empty, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the text file {path}: {error.strerror}") from error
    try:
        text = content.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the text file {path} is not UTF-8: byte {error.start:,} (counted from 0) is "
            f"{content[error.start]:#04x}, {error.reason}. Convert it, for example with iconv."
        ) from error
    if not text:
        raise UsageError(f"the text file {path} is empty")
    return text


def digest(path: Path) -> str:
    """The SHA-256 of a text's characters in UTF-8."""
    return hashlib.sha256(read_text(path).encode()).hexdigest()


TINY_SHAKESPEARE = DataFile(
    "tinyshakespeare/input.txt",
    SHA256,
    ["https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"],
    digest=digest,
    data_sha256=SHA256,
)


def split_ends(length: int, valid_fraction: float, test_fraction: float) -> tuple[int, int]:
    """The ends of the training and the validation part of a text; the test part is the rest.

    Raises `UsageError` unless the fractions leave a training part.
    """
    if valid_fraction <= 0 or test_fraction < 0 or valid_fraction + test_fraction >= 1:
        raise UsageError(
            "valid_fraction must be above 0, test_fraction at least 0 and their sum below 1; "
            f"they are {valid_fraction} and {test_fraction}"
        )

    def end(fraction: float) -> int:
        return math.floor(round(length * fraction, 6))  # 1 - 0.4 - 0.4 is not quite 0.2

    return end(1 - valid_fraction - test_fraction), end(1 - test_fraction)


def vocabulary(text: str) -> str:
    """The distinct characters of a text in the order of their code points."""
    return "".join(sorted(set(text)))


def encode(text: str, alphabet: str, path: Path) -> np.ndarray:
    """Every character's index in the alphabet (sorted, from `vocabulary`), as int32.

    Raises `UsageError` for an unknown character, with its position in the file.
    """
    points, known = _code_points(text), _code_points(alphabet)
    codes = np.minimum(np.searchsorted(known, points), len(known) - 1)
    unseen = known[codes] != points
    if unseen.any():
        at = int(np.argmax(unseen))
        raise UsageError(
            f"the text file {path} has the symbol {text[at]!r} (U+{points[at]:04X}) at character "
            f"{at:,} (counted from 0), line {text.count(chr(10), 0, at) + 1:,}, but not before, "
            "in its training part. Replace the symbol, or choose other fractions."
        )
    return codes.astype(np.int32)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")
