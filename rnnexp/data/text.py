"""Text files as sequences of symbols.

Tiny Shakespeare: Karpathy 2015, "The unreasonable effectiveness of recurrent neural
networks". 1,115,394 characters, 65 of them distinct.
"""

import codecs
import contextlib
import difflib
import hashlib
import math
from collections import Counter
from encodings.aliases import aliases
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UsageError, first_line
from rnnexp.data.files import DataFile, find

BYTE_ORDER_MARK = "\ufeff"
"""Editors put it in front of a text to say that it is UTF-8. It is no symbol of the text."""
UNKNOWN_SYMBOL = "\ufffd"
"""Stands for every character that an alphabet does not have, where those have a class."""
COMMON = ("utf-16", "cp1252", "latin-1")
"""Encodings besides UTF-8 that texts often have."""
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def read_text(path: Path, encoding: str | None = None) -> str:
    """All characters of a file, line ends as they are, without a byte order mark in front.

    Args:
      encoding: a name of Python's codecs for text; None: UTF-8, and there is no choice.

    Raises `UsageError` if the file cannot be read, is empty, or is not in that encoding, and for an
    unknown encoding.
    """
    if encoding is not None:
        require_encoding(encoding)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the text file {path}: {error.strerror}") from error
    try:
        text = content.decode(encoding or "utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        remedy = "Convert it, for example with iconv."
        if others := [] if encoding is None else readable_as(content):
            remedy = f"Set the option encoding ({', '.join(others)} can read it), or convert it."
        raise UsageError(
            f"the text file {path} is not {encoding or 'UTF-8'}: byte {error.start:,} (counted "
            f"from 0) is {content[error.start]:#04x}, {error.reason}. {remedy}"
        ) from error
    except UnicodeError as error:  # of codecs that do not say where
        raise UsageError(f"the text file {path} is not {encoding}: {first_line(error)}") from error
    if not text:
        raise UsageError(f"the text file {path} is empty")
    return text


def require_encoding(name: str) -> None:
    """Raise `UsageError`, with the nearest spelling, unless Python has a text encoding so named."""
    try:
        # a codec from bytes to bytes, such as zlib, is no encoding of a text
        known = codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        known = False
    if not known:
        pairs = [pair for pair in aliases.items() if not pair[1].endswith(("_codec", "rot_13"))]
        names = [alias.replace("_", "-") for pair in pairs for alias in pair]
        near = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"unknown encoding {name[:40]!r}.{hint} Known are Python's text encodings, such as "
            f"utf-8, {', '.join(COMMON)}."
        )


def readable_as(content: bytes) -> list[str]:
    """Those of the common encodings in which the bytes are a text.

    UTF-16 only with a byte order mark, because it reads almost any bytes.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    found = []
    for name in ("utf-8", *COMMON[1:]):
        with contextlib.suppress(UnicodeError):
            content.decode(name)
            found.append(name)
    return found


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


def text_file(file: str, data_dir: Path | None = None) -> Path:
    """The text of a task: the user's file, or tiny Shakespeare if none is named.

    Raises what `find` does if tiny Shakespeare cannot be had.
    """
    return Path(file).expanduser() if file else find(TINY_SHAKESPEARE, data_dir)


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


def encode(text: str, alphabet: str, path: Path, unknown: int | None = None) -> np.ndarray:
    """Every character's index in the alphabet, as int32.

    Args:
      alphabet: sorted, from `vocabulary`.
      unknown: the class of a character that the alphabet does not have; None: there is none.

    Raises `UsageError` for an unknown character without a class, with its position in the file.
    """
    points, known = _code_points(text), _code_points(alphabet)
    codes = np.minimum(np.searchsorted(known, points), len(known) - 1)
    unseen = known[codes] != points
    if unknown is None and unseen.any():
        at = int(np.argmax(unseen))
        raise UsageError(
            f"the text file {path} has the symbol {text[at]!r} (U+{points[at]:04X}) at character "
            f"{at:,} (counted from 0), line {text.count(chr(10), 0, at) + 1:,}, but not before, "
            "in its training part. Replace the symbol, choose other fractions, or set the option "
            "unknown, which gives such symbols a class."
        )
    return np.where(unseen, unknown or 0, codes).astype(np.int32)


def unknown_symbols(text: str, alphabet: str) -> Counter[str]:
    """The characters of a text that the alphabet does not have, and how often they occur."""
    known = set(alphabet)
    return Counter(symbol for symbol in text if symbol not in known)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")
