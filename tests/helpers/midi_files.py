"""MIDI files read by another program's code."""

from pathlib import Path

import mido
import numpy as np


def read_roll(path: Path) -> tuple[np.ndarray, float]:
    """The piano roll, uint8 (T, 88), in a file of one track, and the seconds of a step."""
    file = mido.MidiFile(path)
    assert (file.type, len(file.tracks), file.ticks_per_beat) == (0, 1, 480)
    tempo, *notes, end = file.tracks[0]
    assert (tempo.type, tempo.time, end.type) == ("set_tempo", 0, "end_of_track")
    frames, sounding = [], np.zeros(88, np.uint8)
    for event in [*notes, end]:
        steps, rest = divmod(event.time, 480)
        assert rest == 0
        frames += [sounding.copy()] * steps
        if event is not end:
            assert (event.channel, event.velocity) == (0, 64)
            sounding[event.note - 21] = event.type == "note_on"
    return np.array(frames, np.uint8).reshape(-1, 88), tempo.tempo / 1e6
