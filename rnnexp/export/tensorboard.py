"""A run as a TensorBoard event file, `DIR/TASK/CELL/ID/events.out.tfevents.*`.

The package `tensorboard` writes it; TensorFlow is not needed. The tab "Scalars" has every figure,
"Distributions" and "Histograms" have log10 of the profiles, "Images" their heat maps, and
"HParams" and "Text" the configuration.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from rnnexp.core.files import scratch_folder
from rnnexp.export import Exported, run_name
from rnnexp.export.series import histograms, pictures, scalars
from rnnexp.results.load import Run
from rnnexp.results.summary import flatten
from rnnexp.run.tensorboard import PATTERN, first_events, scalar_event


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
    yield from first_events(run_name(run), run.config, flatten(run.config), begun)
    times = {}
    for figure in figures:
        times[figure.step] = figure.time
        yield scalar_event(figure)
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
