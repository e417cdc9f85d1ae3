"""The reader of piano rolls gives back what was written, and names files that are damaged."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat  # type: ignore[import-untyped]

from rnnexp.core.errors import UsageError
from rnnexp.data import polyphonic
from tests.helpers.data_files import data_or_skip
from tests.helpers.piano_rolls import random_roll, random_rolls

# Counted from the files by another program: sequences, steps of the shortest and longest, total
# steps, notes a step and silent steps of the training split; sequences of the other two
FACTS = {
    "JSB_Chorales": (229, 25, 129, 13_807, 3.898, 18, 76, 77),
    "Nottingham": (694, 40, 1_788, 176_561, 3.961, 487, 173, 170),
    "MuseData": (524, 9, 3_457, 245_202, 3.493, 12_962, 135, 124),
    "Piano_midi": (87, 111, 3_857, 75_911, 3.044, 4_917, 12, 25),
}


def cell_array(rolls: tuple[np.ndarray, ...]) -> np.ndarray:
    """What MATLAB calls a cell array, of shape (1, N)."""
    cells = np.empty((1, len(rolls)), object)
    cells[0] = [*rolls, None][:-1]
    return cells


def write_mat(path: Path, **changed: np.ndarray | None) -> Path:
    """A file of `random_rolls`, some variables replaced or left out."""
    content = dict(zip(polyphonic.VARIABLES, map(cell_array, random_rolls()), strict=True))
    savemat(path, {k: v for k, v in (content | changed).items() if v is not None})
    return path


def test_a_mat_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    read = polyphonic.read_rolls(write_mat(tmp_path / "music.mat"))
    for split, written in zip(read, random_rolls(), strict=True):
        for roll, expected in zip(split, written, strict=True):
            np.testing.assert_array_equal(roll, expected, strict=True)


def with_sequence(roll: np.ndarray) -> np.ndarray:
    """A split whose second sequence is `roll`."""
    return cell_array((random_roll(0, 3), roll))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"testdata": None}, "variables traindata, validdata; expected traindata, validdata, test"),
        ({"traindata": np.zeros((5, 88), np.uint8)}, r"traindata is an array of uint8 .*\(5, 88\)"),
        ({"validdata": cell_array(())}, "validdata is an array"),
        ({"validdata": with_sequence(np.zeros((4, 87), np.uint8))}, r"1 of validdata .*\(4, 87\)"),
        ({"validdata": with_sequence(np.zeros((4, 88)))}, "1 of validdata .* float64"),
        ({"testdata": with_sequence(np.zeros((1, 88), np.uint8))}, "T at least 2"),
        ({"testdata": with_sequence(np.full((4, 88), 3, np.uint8))}, "holds the value 3"),
    ],
    ids=["missing", "no cells", "empty", "narrow", "floats", "one frame", "values"],
)
def test_a_mat_file_of_other_content_is_named(
    tmp_path: Path, changed: dict[str, np.ndarray | None], words: str
) -> None:
    path = write_mat(tmp_path / "other.mat", **changed)
    with pytest.raises(UsageError, match=words) as caught:
        polyphonic.read_rolls(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kept", [0, 60, 128, 150, -40], ids=str)
def test_a_damaged_mat_file_is_named(tmp_path: Path, kept: int) -> None:
    path = write_mat(tmp_path / "cut.mat")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UsageError) as caught:
        polyphonic.read_rolls(path)
    assert str(path) in str(caught.value)


def test_a_missing_mat_file_and_an_unknown_collection(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*absent.mat: No such file"):
        polyphonic.read_rolls(tmp_path / "absent.mat")
    with pytest.raises(UsageError, match="Did you mean 'Nottingham'"):
        polyphonic.load("nottinghm", tmp_path)


@pytest.mark.parametrize("name", FACTS)
def test_facts_about_the_collections(name: str) -> None:
    rolls = polyphonic.load(name, data_or_skip(f"polyphonic/{name}.mat"))
    lengths = [len(roll) for roll in rolls.train]
    frames = np.concatenate(rolls.train)
    found = (
        *(len(lengths), min(lengths), max(lengths), sum(lengths)),
        round(float(frames.sum() / len(frames)), 3),
        int(np.sum(~frames.any(1))),
        *(len(rolls.valid), len(rolls.test)),
    )
    assert found == FACTS[name]


@pytest.mark.parametrize("change", [None, "order", "note"])
def test_a_file_saved_again_is_taken_if_it_holds_the_same(
    tmp_path: Path, change: str | None
) -> None:
    original = data_or_skip("polyphonic/JSB_Chorales.mat") / "polyphonic" / "JSB_Chorales.mat"
    rolls = [list(split) for split in polyphonic.read_rolls(original)]
    if change == "order":
        rolls[0][:2] = rolls[0][1::-1]
    if change == "note":
        rolls[2][5] = rolls[2][5].copy()
        rolls[2][5][3, 40] ^= 1
    path = tmp_path / "polyphonic" / "JSB_Chorales.mat"
    path.parent.mkdir()
    splits = zip(polyphonic.VARIABLES, rolls, strict=True)
    savemat(path, {name: cell_array(tuple(split)) for name, split in splits}, do_compression=False)
    if change is None:
        assert len(polyphonic.load("JSB_Chorales", tmp_path).train) == 229
        return
    with pytest.raises(UsageError, match="that of its data is") as caught:
        polyphonic.load("JSB_Chorales", tmp_path)
    assert str(path) in str(caught.value)
