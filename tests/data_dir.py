"""Where tests find real data files; a plain clone has none and skips."""

import os
from pathlib import Path

import pytest


def mnist_or_skip() -> Path:
    """A data directory with the MNIST files."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    for place in (os.environ.get("RNNEXP_DATA"), beside):
        if place and (Path(place) / "mnist" / "train-images-idx3-ubyte.gz").exists():
            return Path(place)
    pytest.skip(f"no MNIST files: neither $RNNEXP_DATA nor {beside} has mnist/*.gz")
