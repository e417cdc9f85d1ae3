"""A run's event file, read by TensorBoard's own reader while the run trains and after a resume."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.export import series
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import Observer, RunResult
from rnnexp.run.files import RunLog, read_metrics
from rnnexp.run.run import run
from rnnexp.sweep.lanes import train_lanes
from rnnexp.sweep.plan import planned
from tests.helpers.exported import needed
from tests.helpers.small_run import small_config

pytestmark = pytest.mark.filterwarnings("default")
SMALL: dict[str, Any] = {"train__duration_steps": 60, "log__tensorboard": True}
Points = dict[str, list[tuple[int, float]]]


@pytest.fixture(autouse=True)
def _installed() -> None:
    needed("tensorboard")


def accumulator(path: Path) -> Any:
    """TensorBoard's reader for other programs, which keeps every event."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(path), size_guidance={"tensors": 0})


def server_reader(path: Path) -> Any:
    """The reader of the program TensorBoard, which heeds the mark of a restart."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    return EventAccumulator(str(path), tensor_size_guidance={"scalars": 0})


def seen(reader: Any) -> Points:
    """Steps and values by name, in the order in which the reader has them."""
    from tensorboard.util.tensor_util import make_ndarray

    reader.Reload()
    names = [name for name in reader.Tags()["tensors"] if "/" in name and name[0] != "_"]
    events = {name: reader.Tensors(name) for name in names}  # forgotten ones leave their names
    return {
        name: [(e.step, float(make_ndarray(e.tensor_proto))) for e in found]
        for name, found in events.items()
        if found
    }


def written(path: Path, *, ended: bool) -> Points:
    """What has to be there: the lines of `metrics.jsonl`, closed forms twice in an ended run."""
    found: Points = {}
    rows = read_metrics(path)
    last = max(row["step"] for row in rows)
    for row in rows:
        steps = [row["step"], last] if ended and row["kind"] == "baseline" else [row["step"]]
        for name in row.keys() - {"kind", "step", "time", "length"}:
            points = [(step, float(np.float32(row[name]))) for step in steps]
            found.setdefault(f"{row['kind']}/{name}", []).extend(points)
    return found


class Reading(Observer):
    """Reads the event file at each event of a run that is still training."""

    def __init__(self) -> None:
        self.reader: Any = None
        self.steps: list[int] = []
        self.fail_at = 10_000

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        self.path = path
        self.reader = self.reader or server_reader(path)

    def advanced(self, step: int, scalars: object) -> None:
        found = seen(self.reader)
        assert found == written(self.path, ended=False)
        self.steps.append(found["train/loss"][-1][0])

    def evaluated(self, split: str, step: int, scores: object) -> None:
        if step >= self.fail_at:
            raise KeyboardInterrupt


def test_the_file_grows_with_every_record(tmp_path: Path) -> None:
    reading = Reading()
    result = run(small_config(**SMALL), runs_dir=tmp_path, observer=reading)
    assert len(set(reading.steps)) >= 3
    assert reading.steps == sorted(reading.steps)
    found = seen(accumulator(result.path))
    assert found == seen(reading.reader) == written(result.path, ended=True)
    exported: Points = {}
    for scalar in series.scalars(load_run(result.path)):
        exported.setdefault(scalar.name, []).append((scalar.step, float(np.float32(scalar.value))))
    assert found == exported
    assert [step for step, _ in found["baseline/loss"]] == [0, 60]
    assert len(found["train/loss"]) == 30


def test_a_resumed_run_has_no_step_twice(tmp_path: Path) -> None:
    """Neither for a new reader nor for one that has read what the run then made again."""
    reading = Reading()
    reading.fail_at = 30
    with pytest.raises(KeyboardInterrupt):
        run(small_config(**SMALL), runs_dir=tmp_path, observer=reading)
    before = seen(reading.reader)
    assert before["train/loss"][-1][0] > 25  # the step of the checkpoint
    reading.fail_at = 10_000
    (path,) = tmp_path.glob("*/*/*")
    result = run(small_config(**SMALL), runs_dir=tmp_path, observer=reading)
    assert result.path == path
    steps = [step for step, _ in seen(accumulator(path))["train/loss"]]
    assert steps == list(range(0, 60, 2))
    assert seen(reading.reader) == written(path, ended=True)
    sizes = [file.stat().st_size for file in sorted(path.glob("*tfevents*"))]
    assert len(sizes) == 2
    assert sizes[0] == 0


def test_every_lane_writes_its_own(tmp_path: Path) -> None:
    configs = [small_config(seed=seed, **SMALL) for seed in (0, 1)]
    runs = [planned(config, 0, {}) for config in configs]
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=2)
    paths = [tmp_path / one.run for one in runs]
    found = [seen(accumulator(path)) for path in paths]
    assert found == [written(path, ended=True) for path in paths]
    assert found[0] != found[1]


def test_a_run_is_the_same_with_and_without(tmp_path: Path) -> None:
    def train(**changes: Any) -> RunResult:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return run(small_config(train__duration_steps=12, **changes), runs_dir=folder)

    plain, logged = train(), train(log__tensorboard=True)
    assert plain.path.name == logged.path.name
    assert plain.details == logged.details
    assert not list(plain.path.glob("*tfevents*"))


def test_a_copy_that_cannot_be_ended_is_no_reason_to_lose_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from rnnexp.run.tensorboard import EventLog

    files = RunLog(tmp_path / "run")
    copies = [EventLog(files.path, small_config(), [])]
    files.copy_lines(lambda rows: copies[0])
    files.log("baseline", [{"step": 0, "loss": 1.0}])
    files.log("train", [{"step": 3, "loss": 1.0}])
    with Path("/dev/full").open("wb", buffering=0) as full:
        copies[0]._writer._writer = full
        with caplog.at_level(logging.WARNING, "rnnexp"):
            files.close()
    assert "a copy of its lines has no end: No space left on device" in caplog.text
    RunLog(tmp_path / "run").close()  # the lock is free
