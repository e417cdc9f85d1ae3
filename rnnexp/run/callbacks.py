"""What a run reports while it trains, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import run_id
from rnnexp.run.files import read_json


class Observer:
    """Receives the events of a run. The methods do nothing until overridden."""

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        """The run begins, or is resumed, in `path`."""

    def noted(self, text: str) -> None:
        """A remark about the run, of one line."""

    def compared(self, baselines: Mapping[str, float]) -> None:
        """The closed-form figures to compare the run's scores with, by name."""

    def advanced(self, step: int, scalars: Mapping[str, float] | None) -> None:
        """`step` updates are made; `scalars` of the latest recorded step, if any is new."""

    def evaluated(self, split: str, step: int, scores: Mapping[str, float]) -> None:
        """An evaluation after `step` updates."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended: its directory and the content of its `status.json`."""

    path: Path
    status: str
    step: int
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


def run_path(config: FrozenConfigDict, runs_dir: Path, sources: str = "") -> Path:
    """`RUNS_DIR/TASK/CELL/RUN_ID`; `sources` is the digest of the user's own files."""
    return runs_dir / str(config.task.name) / str(config.cell.name) / run_id(config, sources)


def read_result(path: Path) -> RunResult | None:
    """The result in a run's `status.json`, or None if there is none."""
    content = read_json(path / "status.json")
    if content is None:
        return None
    content.pop("time", None)
    return RunResult(
        path, content.pop("status"), content.pop("step"), content.pop("reason"), content
    )
