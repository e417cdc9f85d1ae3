"""The IDX format of the MNIST files: a big-endian header, then bytes in row-major order."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UsageError

UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in a gzipped IDX file.

    Raises `UsageError`, which names the file, if it is not gzip, is truncated, has another
    magic number, or holds more or fewer bytes than its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} is not a complete gzip file: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
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
