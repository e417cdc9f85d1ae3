"""Where tests find real data files; a plain clone has none and skips."""

import os
from pathlib import Path

import pytest

MUSIC = {
    "jsb_chorales": "JSB_Chorales",
    "nottingham": "Nottingham",
    "musedata": "MuseData",
    "piano_midi": "Piano_midi",
}
SHAKESPEARE = "tinyshakespeare/input.txt"
DATA = {
    "mnist": "mnist/train-images-idx3-ubyte.gz",
    "char_lm": SHAKESPEARE,
    "word_lm": SHAKESPEARE,
    "word2vec": SHAKESPEARE,
    "babi": "babi/en/qa1_single-supporting-fact_train.txt",
    **{task: f"polyphonic/{name}.mat" for task, name in MUSIC.items()},
}
"""A file of each task that needs one."""


def data_or_skip(relative_path: str) -> Path:
    """A data directory that has the file of that path below it."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    for place in (os.environ.get("RNNEXP_DATA"), beside):
        if place and (Path(place) / relative_path).exists():
            return Path(place)
    pytest.skip(f"no {relative_path}: neither in $RNNEXP_DATA nor in {beside}")
