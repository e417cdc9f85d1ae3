"""Readers beside runs that are written, killed and resumed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnexp.core.errors import UsageError
from rnnexp.results.frames import load_gradients, load_runs
from rnnexp.results.load import load_run

NOT_YET = ("no gradients.zarr yet", "holds no runs", "is not a run's directory")
"""What a reader may be told of a run that has not written so much."""


@contextmanager
def reading(runs_dir: Path) -> Iterator[list[str]]:
    """Read all runs below a folder again and again; the list is of what readers should not see.

    It ends with the number of reads that found gradients, which the caller may look at.
    """
    faults, stop, reads = list[str](), threading.Event(), [0]

    def read(path: Path) -> None:
        try:
            load_runs(runs_dir)
            status = load_run(path).status
            data = load_gradients(path)
            reads[0] += 1
            steps = data["step"].values.tolist()
            if steps != sorted(set(steps)):
                faults.append(f"steps {steps}")
            if status["status"] == "completed" and data["dL_dh"].isnull().any():
                faults.append("a completed run has NaN")
        except UsageError as error:
            if not any(words in str(error) for words in NOT_YET):
                faults.append(str(error))
        except Exception as error:
            faults.append(repr(error))

    def loop() -> None:
        while not stop.wait(0.02):
            for path in runs_dir.glob("*/*/*-seed*"):
                read(path)

    reader = threading.Thread(target=loop)
    reader.start()
    try:
        yield faults
    finally:
        stop.set()
        reader.join()
    if not reads[0]:
        faults.append("nothing was read")
