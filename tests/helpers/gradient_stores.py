"""Gradient profiles of made-up numbers, logged as a run does."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rnnexp.run.gradient_store import GradientLog


def write(path: Path, steps: Iterable[int], *, resume_at: int | None = None) -> None:
    """Log made-up profiles of these steps, as a process does that begins or resumes."""
    path.parent.mkdir(exist_ok=True)
    log = GradientLog(path, ["a", "b"])
    if resume_at is not None:
        log.truncate(resume_at)
    for step in steps:
        draw = np.random.default_rng(step).random((2, 2, 5), np.float32)
        log.append(step, {"h": draw[0], "c": draw[1]})
    log.flush()
