"""The IDX reader gives back what was written, and names files that are something else."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.idx import read_idx


def idx_bytes(array: np.ndarray, magic: bytes = b"\0\0\x08") -> bytes:
    """An IDX file's content before compression."""
    sizes = struct.pack(f">{array.ndim}i", *array.shape)
    return magic + bytes([array.ndim]) + sizes + array.tobytes()


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (0, 28, 28)])
def test_an_idx_file_comes_back_as_it_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx_bytes(array)))
    read = read_idx(tmp_path / "a.gz")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with b''"),
        (b"\0\0", "not an IDX file"),
        (idx_bytes(np.zeros(4, np.uint8), magic=b"\0\0\x0d"), "not an IDX file of bytes"),
        (idx_bytes(np.zeros(4, np.uint8), magic=b"\1\0\x08"), "not an IDX file of bytes"),
        (b"\0\0\x08\x03" + struct.pack(">ii", 2, 3), "ends inside its IDX header"),
        (idx_bytes(np.zeros((2, 3), np.uint8)) + b"\0", "holds 7 bytes of data; its header says 6"),
        (idx_bytes(np.zeros((2, 3), np.uint8))[:-1], "holds 5 bytes of data; its header says 6"),
        (b"\0\0\x08\x02" + struct.pack(">II", 2**32 - 1, 2**32 - 1) + b"\0", "its header"),
    ],
    ids=["empty", "short", "floats", "magic", "header", "longer", "shorter", "huge"],
)
def test_a_wrong_idx_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "wrong-idx1.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(UsageError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_truncated_or_plain_file_is_not_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)))
    for number, content in enumerate([whole[:-20], whole[:8], b"plain", whole[:50] + whole[60:]]):
        path = tmp_path / f"{number}.gz"
        path.write_bytes(content)
        with pytest.raises(UsageError, match="not a complete gzip file") as caught:
            read_idx(path)
        assert str(path) in str(caught.value)
