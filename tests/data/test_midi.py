"""MIDI files have known bytes, and another program reads the rolls back."""

from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import RunError, UsageError
from rnnexp.data import midi
from tests.helpers.midi_files import read_roll
from tests.helpers.piano_rolls import random_roll


@pytest.mark.parametrize("steps", [1, 2, 40, 600])
def test_a_roll_comes_back_from_a_midi_file(tmp_path: Path, steps: int) -> None:
    roll = random_roll(steps, steps)
    roll[:, 0], roll[:, 87], roll[-1:, 5:] = 1, 1, 0  # outer notes, and a silent end
    midi.write_midi(tmp_path / "roll.mid", roll, seconds_per_step=0.25)
    read, seconds_per_step = read_roll(tmp_path / "roll.mid")
    np.testing.assert_array_equal(read, roll, strict=True)
    assert seconds_per_step == 0.25


@pytest.mark.parametrize("steps", [0, 500])
def test_silence_comes_back_from_a_midi_file(tmp_path: Path, steps: int) -> None:
    roll = np.zeros((steps, 88), np.uint8)
    midi.write_midi(tmp_path / "roll.mid", roll)
    np.testing.assert_array_equal(read_roll(tmp_path / "roll.mid")[0], roll, strict=True)


# written by hand: middle C held for two steps, then E for one, then a silent step
KNOWN = bytes.fromhex(
    "4d546864 00000006 0000 0001 01e0"  # MThd, 6 bytes: type 0, one track, 480 ticks
    "4d54726b 0000001e"  # MTrk, 30 bytes
    "00 ff 51 03 07a120"  # 500,000 microseconds a quarter note
    "00 90 3c 40"
    "8740 80 3c 40"  # 960 ticks later
    "00 90 40 40"
    "8360 80 40 40"  # 480 ticks later
    "8360 ff 2f 00"
)


def test_a_midi_file_has_known_bytes() -> None:
    roll = np.zeros((4, 88), np.uint8)
    roll[:2, 60 - 21] = roll[2, 64 - 21] = 1
    assert midi.encode(roll, seconds_per_step=0.5) == KNOWN


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0x00, "00"),
        (0x7F, "7f"),
        (0x80, "8100"),
        (0x2000, "c000"),
        (0x3FFF, "ff7f"),
        (0x100000, "c08000"),
        (0x0FFFFFFF, "ffffff7f"),
    ],
)
def test_variable_length_quantities_as_the_specification_lists_them(
    value: int, expected: str
) -> None:
    assert midi._quantity(value) == bytes.fromhex(expected)


def test_a_midi_file_needs_a_roll_a_tempo_and_a_place(tmp_path: Path) -> None:
    roll = np.zeros((3, 88), np.uint8)
    for wrong in (roll[:, :87], roll + 2, roll[0]):
        with pytest.raises(UsageError, match="a piano roll has the shape"):
            midi.encode(wrong)
    for seconds in (0.0, 17.0):
        with pytest.raises(UsageError, match="seconds_per_step must be"):
            midi.encode(roll, seconds_per_step=seconds)
    with pytest.raises(RunError, match="cannot write"):
        midi.write_midi(tmp_path / "absent" / "roll.mid", roll)
