"""Piano rolls as standard MIDI files.

The MIDI Association, "Standard MIDI Files 1.0" (RP-001). A file has type 0: one track
with a tempo, the notes of a piano on channel 1, and an end-of-track event at the end of
the last step. A step is a quarter note. A roll does not distinguish held from repeated
notes, so a note that sounds in consecutive steps is held.
"""

import struct
from pathlib import Path

import numpy as np

from rnnexp.core.errors import RunError, UsageError
from rnnexp.data.polyphonic import LOWEST_NOTE, NOTES

TICKS = 480
"""Ticks of a quarter note, which is one step."""
VELOCITY = 64
NOTE_OFF, NOTE_ON, META = 0x80, 0x90, 0xFF
TEMPO, END_OF_TRACK = 0x51, 0x2F
HEADER = struct.Struct(">4sIHHH")
CHUNK = struct.Struct(">4sI")


def write_midi(path: Path, roll_Tx88: np.ndarray, *, seconds_per_step: float = 0.5) -> None:
    """Write a piano roll as a MIDI file. Raises as `encode`, or `RunError` if writing fails."""
    content = encode(roll_Tx88, seconds_per_step=seconds_per_step)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def encode(roll_Tx88: np.ndarray, *, seconds_per_step: float = 0.5) -> bytes:
    """The bytes of the MIDI file of a piano roll (T, 88); column j is MIDI note j + 21.

    Raises `UsageError` if the roll has another shape or other values than 0 and 1, or if a
    step is longer than the 16.7 s of the slowest tempo.
    """
    if roll_Tx88.ndim != 2 or roll_Tx88.shape[1] != NOTES or not np.isin(roll_Tx88, (0, 1)).all():
        raise UsageError(
            f"a piano roll has the shape (T, {NOTES}) and the values 0 and 1; "
            f"this one has the shape {roll_Tx88.shape}"
        )
    tempo = round(seconds_per_step * 1e6)
    if not 0 < tempo < 1 << 24:
        raise UsageError(f"seconds_per_step must be between 0 and 16.7, not {seconds_per_step}")
    change = np.diff(np.pad(roll_Tx88.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    steps, columns = np.nonzero(change)
    starts = change[steps, columns] > 0
    parts = [bytes([0, META, TEMPO, 3]), tempo.to_bytes(3)]
    now = 0
    for index in np.lexsort((columns, starts, steps)):  # notes end before the next ones start
        step, note = int(steps[index]), int(columns[index]) + LOWEST_NOTE
        status = NOTE_ON if starts[index] else NOTE_OFF
        parts += [_quantity((step - now) * TICKS), bytes([status, note, VELOCITY])]
        now = step
    parts += [_quantity((len(roll_Tx88) - now) * TICKS), bytes([META, END_OF_TRACK, 0])]
    track = b"".join(parts)
    return HEADER.pack(b"MThd", 6, 0, 1, TICKS) + CHUNK.pack(b"MTrk", len(track)) + track


def _quantity(value: int) -> bytes:
    """A variable-length quantity: 7 bits a byte, the highest first, bit 7 on all but the last."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))
