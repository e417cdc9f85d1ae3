"""What an export has to hold, read from the run's own files."""

import json

import pytest

from rnnexp.results.load import Run
from tests.helpers.logged_runs import STEPS

SLOPES = {"layer_0": [-0.1, -0.2, -0.3, -0.4], "layer_1": [0.1, 0.0, -0.5, -0.05]}


def needed(package: str) -> None:
    """Skip the test where the extra is not installed."""
    pytest.importorskip(package, reason=f"rnnexp's extra {package} is not installed")


def figures(run: Run) -> dict[str, dict[int, float]]:
    """What has to be found again: values by name and step, read from the run's own file."""
    found: dict[str, dict[int, float]] = {}
    for line in (run.path / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        kind, step = row.pop("kind"), row.pop("step")
        row.pop("time")
        for name, value in row.items():
            steps = (0, STEPS[-1] + 1) if kind in ("baseline", "reference") else (step,)
            for at in steps:
                found.setdefault(f"{kind}/{name}", {})[at] = float(value)
    return found
