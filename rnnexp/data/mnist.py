"""MNIST handwritten digits from the four original IDX files.

LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
recognition". 60,000 training and 10,000 test images of 28 x 28 grey levels.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.data.files import DataFile, find
from rnnexp.data.idx import read_idx

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SHA256 = {
    "train-images-idx3": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

DATA_SHA256 = {
    "train-images-idx3": "27be52f1188578b232e747966dbadfb90ae1d22d8cdb049335a2e4d152303091",
    "train-labels-idx1": "6b5d0904cae1329d22119812b85be407040e6da602f799f271584d2a11f8e4fa",
    "t10k-images-idx3": "6bdd808f3defc95fd73e8a7cfe4fda29e828c377a57969dc63fed8fab7153bb0",
    "t10k-labels-idx1": "a8ff216e2b6763721049dfacff39e33f1b618201dc4282ac0d68ba30f0a14d1d",
}
"""Of the data in the files; see `digest`."""


class Images(NamedTuple):
    """Grey levels 0-255, (N, 28, 28), and labels 0-9, (N,), both uint8."""

    images: np.ndarray
    labels: np.ndarray


def load(data_dir: Path | None = None) -> dict[str, Images]:
    """The official `train` and `test` sets. Raises as `find` and `read_idx`."""
    return {
        "train": _load_pair("train", 60_000, data_dir),
        "test": _load_pair("t10k", 10_000, data_dir),
    }


def _load_pair(prefix: str, count: int, data_dir: Path | None) -> Images:
    images = _read(f"{prefix}-images-idx3", data_dir)
    labels = _read(f"{prefix}-labels-idx1", data_dir)
    if images.shape != (count, 28, 28) or labels.shape != (count,):
        raise UsageError(
            f"the MNIST files {prefix}-* hold arrays of shape {images.shape} and {labels.shape}, "
            f"expected {(count, 28, 28)} and {(count,)}"
        )
    return Images(images, labels)


def _read(stem: str, data_dir: Path | None) -> np.ndarray:
    return read_idx(find(data_file(stem), data_dir))


def data_file(stem: str) -> DataFile:
    """One of the four files, a key of `SHA256`: gzipped, or unpacked under its usual names."""
    name = f"{stem}-ubyte"
    before, _, kind = stem.rpartition("-")
    return DataFile(
        f"mnist/{name}.gz",
        SHA256[stem],
        [f"{mirror}{name}.gz" for mirror in MIRRORS],
        others=(f"mnist/{name}", f"mnist/{before}.{kind}-ubyte"),
        digest=digest,
        data_sha256=DATA_SHA256[stem],
    )


def digest(path: Path) -> str:
    """The SHA-256 of the array in an IDX file: its shape and its bytes."""
    array = read_idx(path)
    return hashlib.sha256(f"{array.shape};".encode() + array.tobytes()).hexdigest()
