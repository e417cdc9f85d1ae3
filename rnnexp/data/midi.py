"""Piano rolls as standard MIDI files.

The MIDI Association, "Standard MIDI Files 1.0" (RP-001). A file has type 0: one track
with a tempo, the notes of a piano on channel 1, and an end-of-track event at the end of
the last step. A step is a quarter note. A roll does not distinguish held from repeated
notes, so a note that sounds in consecutive steps is held.
"""

import struct
from pathlib import Path
from typing import NamedTuple

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


class Recording(NamedTuple):
    """The content of a file: the roll, uint8 (T, 88), and the duration of a step."""

    roll_Tx88: np.ndarray
    seconds_per_step: float


def write_midi(path: Path, roll_Tx88: np.ndarray, *, seconds_per_step: float = 0.5) -> None:
    """Write a piano roll as a MIDI file. Raises as `encode`, or `RunError` if writing fails."""
    content = encode(roll_Tx88, seconds_per_step=seconds_per_step)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def read_midi(path: Path) -> Recording:
    """Read a file that `write_midi` wrote. Raises as `decode`."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


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


def decode(content: bytes) -> Recording:
    """The recording in the bytes of a MIDI file that `encode` made.

    Raises `UsageError` for other files: several tracks, other events than notes of
    channel 1 and meta events, notes outside the piano or between two steps.
    """
    try:
        mark, size, kind, tracks, division = HEADER.unpack_from(content)
        track_mark, track_size = CHUNK.unpack_from(content, HEADER.size)
        expected = (b"MThd", 6, 0, 1, b"MTrk")
        if (mark, size, kind, tracks, track_mark) != expected or not 0 < division < 1 << 15:
            raise UsageError("not a MIDI file of type 0 with one track, timed in ticks")
        start = HEADER.size + CHUNK.size
        changes, end, tempo = _events(content[start : start + track_size])
    except (IndexError, struct.error) as error:
        raise UsageError("the MIDI file ends before its track does") from error
    change = np.zeros((end // division + 1, NOTES), int)
    for tick, note, sign in [*changes, (end, LOWEST_NOTE, 0)]:
        if tick % division or not 0 <= note - LOWEST_NOTE < NOTES:
            raise UsageError(
                f"note {note} at tick {tick} is outside the piano or not on a quarter note"
            )
        change[tick // division, note - LOWEST_NOTE] += sign
    roll_Tx88 = (np.cumsum(change, 0)[:-1] > 0).astype(np.uint8)
    return Recording(roll_Tx88, tempo / 1e6)


def _events(track: bytes) -> tuple[list[tuple[int, int, int]], int, int]:
    """Changes (tick, note, +1 or -1), the tick of the end, and the tempo of a track."""
    changes = []
    at, now, tempo = 0, 0, 500_000  # the tempo of a file that states none
    while True:
        delta, at = _read_quantity(track, at)
        now += delta
        status, first, second = track[at], track[at + 1], track[at + 2]
        if status in (NOTE_ON, NOTE_OFF):
            changes.append((now, first, 1 if status == NOTE_ON and second else -1))
            at += 3
        elif status == META and first == END_OF_TRACK:
            return changes, now, tempo
        elif status == META:
            length, at = _read_quantity(track, at + 2)
            if first == TEMPO:
                tempo = int.from_bytes(track[at : at + length])
            at += length
        else:
            raise UsageError(f"an event of status {status:#04x} at byte {at} of the track")


def _quantity(value: int) -> bytes:
    """A variable-length quantity: 7 bits a byte, the highest first, bit 7 on all but the last."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def _read_quantity(data: bytes, at: int) -> tuple[int, int]:
    """The variable-length quantity at a position, and the position after it."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = value << 7 | data[at] & 0x7F
    return value, at + 1
