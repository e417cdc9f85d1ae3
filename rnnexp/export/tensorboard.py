"""A run as a TensorBoard event file, `DIR/TASK/CELL/ID/events.out.tfevents.*`.

The package `tensorboard` writes it; TensorFlow is not needed. The tab "Scalars" has every figure,
"Distributions" and "Histograms" have log10 of the profiles, "Images" their heat maps, and
"HParams" and "Text" the configuration.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from rnnexp.core.files import scratch_folder
from rnnexp.export import Exported, run_name
from rnnexp.export.series import histograms, pictures, scalars
from rnnexp.results.load import Run
from rnnexp.results.summary import flatten

PATTERN = "events.out.tfevents.*"


def export(run: Run, directory: Path) -> Exported:
    """Write the event file, then remove an earlier one."""
    target = directory / run_name(run)
    target.mkdir(parents=True, exist_ok=True)
    earlier = sorted(target.glob(PATTERN))
    with scratch_folder(target) as folder:
        writer = EventFileWriter(str(folder))
        for event in events(run):
            writer.add_event(event)
        writer.close()
        (written,) = folder.glob(PATTERN)
        written.rename(target / written.name)
    for file in earlier:
        file.unlink()
    return Exported(target, bool(earlier), f"tensorboard --logdir {directory}")


def events(run: Run) -> Iterator[Event]:
    """All events of a run, with the times at which its values were measured."""
    figures = scalars(run)
    begun = figures[0].time if figures else 0.0
    yield Event(wall_time=begun, step=0, summary=hparams_pb(_hparams(run), run_name(run), begun))
    text = f"```json\n{json.dumps(run.config, indent=2)}\n```"
    yield Event(wall_time=begun, step=0, summary=text_pb("config", text))
    times = {}
    for figure in figures:
        times[figure.step] = figure.time
        summary = scalar_pb(figure.name, figure.value)
        yield Event(wall_time=figure.time, step=figure.step, summary=summary)
    for part in histograms(run):
        values = np.stack([part.edges[:-1], part.edges[1:], part.counts], 1)
        kind = histogram_metadata.create_summary_metadata(None, None)
        summary = _summary(part.name, kind, values)
        yield Event(wall_time=times.get(part.step, begun), step=part.step, summary=summary)
    last = int(run.steps[-1]) if len(run.steps) else 0
    for picture in pictures(run):
        values = np.array([str(picture.width).encode(), str(picture.height).encode(), picture.png])
        kind = image_metadata.create_summary_metadata(picture.name, None, converted_to_tensor=True)
        summary = _summary(picture.name, kind, values)
        yield Event(wall_time=times.get(last, begun), step=last, summary=summary)


def _summary(tag: str, metadata: SummaryMetadata, values: np.ndarray) -> Summary:
    summary = Summary()
    summary.value.add(tag=tag, metadata=metadata, tensor=make_tensor_proto(values))
    return summary


def _hparams(run: Run) -> dict[str, Any]:
    """The configuration by dotted key; values other than numbers, booleans and text as JSON."""
    return {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for key, value in flatten(run.config).items()
    }
