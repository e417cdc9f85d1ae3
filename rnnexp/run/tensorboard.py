"""A run's event file for TensorBoard, which grows while the run trains.

`tensorboard --logdir RUNS_DIR` shows every figure of `metrics.jsonl`, and the configuration. What
`rnnexp export` adds to these (histograms, heat maps, the laboratory) needs a whole run. The package
`tensorboard` makes the events; TensorFlow is not needed.

A run that is resumed begins another file, from the lines that it kept, and empties the earlier
one, so that no step is there twice. The file begins with the mark of a restart, by which a
TensorBoard that is open forgets what it has read. It would wait for ever for an earlier file that
is gone, so that is not removed.
"""

import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from rnnexp.config.schema import flat
from rnnexp.run.files import CLOSED_FORMS, Scalar, scalars_of

PATTERN = "events.out.tfevents.*"
FORMAT = "brain.Event:2"
"""The version of TensorBoard's file format, which its readers look for in the first event."""
_numbers = itertools.count()
"""Tell apart the files that this process begins within a second."""


class EventLog:
    """Appends the figures of a run's lines to an event file in its directory.

    The package's own `EventFileWriter` hands events to a thread, one a file, and shows them after
    two minutes. Here they are in the file when `add` returns.
    """

    def __init__(self, run: Path, config: FrozenConfigDict, rows: Sequence[dict[str, Any]]):
        earlier = sorted(run.glob(PATTERN))
        now, host = time.time(), os.uname().nodename
        name = f"events.out.tfevents.{int(now):010d}.{host}.{os.getpid()}.{next(_numbers)}"
        self._constant: list[dict[str, Any]] = []
        self._last = 0
        self._stream = (run / name).open("wb")
        self._writer = RecordWriter(self._stream)
        self._write([Event(wall_time=now, file_version=FORMAT), _restart(now)])
        title = f"{config.task.name}/{config.cell.name}/{run.resolve().name}"
        self._write(first_events(title, config.to_dict(), flat(config), now))
        self.add(rows)
        for file in earlier:
            os.truncate(file, 0)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write lines of `metrics.jsonl`, which have their `kind` and `time`."""
        events: list[Event] = []
        for row in rows:
            self._last = max(self._last, row["step"])
            self._constant += [row] if row["kind"] in CLOSED_FORMS else []
            events += map(scalar_event, scalars_of(row))
        self._write(events)

    def close(self) -> None:
        """Close the file; closed forms are repeated at the last step, so that they are lines."""
        if self._stream.closed:
            return
        try:
            if self._last > 0:
                rows = (scalars_of(row, self._last) for row in self._constant)
                self._write(scalar_event(scalar) for scalars in rows for scalar in scalars)
        finally:
            self._stream.close()

    def _write(self, events: Iterable[Event]) -> None:
        for event in events:
            self._writer.write(event.SerializeToString())
        self._writer.flush()


def scalar_event(scalar: Scalar) -> Event:
    """A figure as an event, at the time when it was measured; values are 32-bit floats."""
    summary = scalar_pb(scalar.name, scalar.value)
    return Event(wall_time=scalar.time, step=scalar.step, summary=summary)


def first_events(
    title: str, config: Mapping[str, Any], keys: Mapping[str, Any], begun: float
) -> Iterator[Event]:
    """The configuration, for the tabs HParams and Text.

    Args:
      title: TASK/CELL/ID.
      config, keys: the configuration in sections, and by dotted key.
      begun: Unix seconds.
    """
    plain = {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for key, value in keys.items()
    }
    yield Event(wall_time=begun, step=0, summary=hparams_pb(plain, title, begun))
    text = f"```json\n{json.dumps(config, indent=2)}\n```"
    yield Event(wall_time=begun, step=0, summary=text_pb("config", text))


def _restart(now: float) -> Event:
    """The event at which readers drop what they have of step 0 and after it."""
    return Event(wall_time=now, step=0, session_log=SessionLog(status=SessionLog.START))
