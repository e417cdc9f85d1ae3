"""The IDX format of the MNIST files: a big-endian header, then bytes in row-major order.

The files come gzipped; unpacked ones are read too.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UsageError

UNSIGNED_BYTE = 0x08
PLAIN = b"\0\0"
"""An IDX file begins with these bytes; a gzipped one begins with others."""


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an IDX file, gzipped or not.

    Raises `UsageError`, which names the file, if it is neither, is truncated, has another
    magic number, or holds more or fewer bytes than its header says.
    """
    try:
        content = path.read_bytes()
        if content[:2] != PLAIN:
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} is not a complete gzip file: {error}") from error
    if len(content) < 4 or content[:2] != PLAIN or content[2] != UNSIGNED_BYTE:
        raise UsageError(f"{path} is not an IDX file of bytes: it begins with {content[:4]!r}")
    dimensions = content[3]
    offset = 4 + 4 * dimensions
    if len(content) < offset:
        raise UsageError(f"{path} ends inside its IDX header")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected = math.prod(shape)
    if len(content) - offset != expected:
        raise UsageError(
            f"{path} holds {len(content) - offset:,} bytes of data; its header says {expected:,}"
        )
    return np.frombuffer(content, np.uint8, offset=offset).reshape(shape)
