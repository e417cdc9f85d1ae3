"""What a run tells while it goes on, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import run_id
from rnnexp.run.files import read_json


class Observer:
    """What a run tells whoever watches; the methods do nothing until overridden."""

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        """The run begins, or goes on, in `path`."""

    def noted(self, text: str) -> None:
        """Something about the run that is worth a line."""

    def compared(self, baselines: Mapping[str, float]) -> None:
        """Closed-form figures that the run's scores are to be held against, by their names."""

    def advanced(self, step: int, scalars: Mapping[str, float] | None) -> None:
        """`step` updates are made; `scalars` of the latest recorded step, if any is new."""

    def evaluated(self, split: str, step: int, scores: Mapping[str, float]) -> None:
        """An evaluation after `step` updates."""


@dataclass(frozen=True)
class Result:
    """How a run ended: the content of its `status.json`, and where it is."""

    path: Path
    status: str
    step: int
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


def run_path(config: FrozenConfigDict, runs_dir: Path) -> Path:
    """`RUNS_DIR/TASK/CELL/RUN_ID`."""
    return runs_dir / str(config.task.name) / str(config.cell.name) / run_id(config)


def read_result(path: Path) -> Result | None:
    """The result in a run's `status.json`, or None if there is none."""
    content = read_json(path / "status.json")
    if content is None:
        return None
    content.pop("time", None)
    return Result(path, content.pop("status"), content.pop("step"), content.pop("reason"), content)
