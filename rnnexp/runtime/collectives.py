"""One run by several processes: the first keeps its files, all compute.

Every process takes the same steps. What only the first does, or only it can know (files,
the clock), goes through `from_first`, so that all learn how it went and go on, or fail,
together. With one process everything here is the plain thing.
"""

import json
import signal
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.types import Tree
from rnnexp.run.callbacks import Result, read_result
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.run.files import RunLog
from rnnexp.run.gradient_store import GradientLog
from rnnexp.runtime.mesh import on_host, process_count

ERRORS = {kind.__name__: kind for kind in (UsageError, RunError, OSError)}
BLOCK = 4096  # bytes sent at least; sizes are few, as each is a program of its own
T = TypeVar("T")


def is_first() -> bool:
    """Whether this process keeps the files."""
    return process_count() == 1 or jax.process_index() == 0


def from_first(function: Callable[[], T]) -> T:
    """What `function` returns or raises in the first process; the others do not call it.

    With several processes it must be something that JSON can hold. `UsageError`, `RunError`
    and `OSError` are raised in all of them.
    """
    if process_count() == 1:
        return function()
    answer: dict[str, Any] = {}
    failure: Exception | None = None
    if is_first():
        try:
            answer["value"] = function()
        except tuple(ERRORS.values()) as error:
            failure = error
            kind = next(name for name, kind in ERRORS.items() if isinstance(error, kind))
            answer = {"error": kind, "text": str(error)}
    answer = json.loads(broadcast(json.dumps(answer).encode()))
    if failure is not None:
        raise failure
    if "error" in answer:
        raise ERRORS[answer["error"]](answer["text"])
    value: T = answer["value"]
    return value


def broadcast(data: bytes) -> bytes:
    """The bytes that the first process gives; those of the others are ignored."""
    size = int(multihost_utils.broadcast_one_to_all(np.array(len(data), np.int32)))
    room = max(BLOCK, 1 << (size - 1).bit_length())
    sent = np.frombuffer(data[:size].ljust(room, b"\0"), np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(sent))[:size].tobytes()


def agree(stop: str | None, pace: int) -> tuple[str | None, int]:
    """A signal that any process got, and the first one's number of steps."""
    if process_count() == 1:
        return stop, pace
    number = 0 if stop is None else signal.Signals[stop].value
    said = multihost_utils.process_allgather(np.array([number, pace], np.int32))
    number = int(said[:, 0].max())
    return (signal.Signals(number).name if number else None), int(said[0, 1])


def shared_result(path: Path) -> Result | None:
    """`read_result` for all processes."""

    def read() -> dict[str, Any] | None:
        result = read_result(path)
        return None if result is None else vars(result) | {"path": str(path)}

    content = from_first(read)
    return None if content is None else Result(**{**content, "path": path})


def open_log(path: Path) -> RunLog:
    """The run's directory, which the first process takes for itself."""
    return RunLog(path) if process_count() == 1 else SharedLog(path)


def open_gradients(path: Path, units: Sequence[str]) -> GradientLog:
    """The run's gradient log, which the first process writes."""
    return (GradientLog if process_count() == 1 else SharedGradients)(path, units)


def open_checkpoints(path: Path) -> Checkpoints:
    """The run's checkpoints, which the first process writes and reads."""
    return Checkpoints(path) if process_count() == 1 else SharedCheckpoints(path)


class SharedLog(RunLog):
    """A run log of several processes."""

    def __init__(self, path: Path):
        self.path = path
        self._own: RunLog | None = None
        from_first(self._open)

    def _open(self) -> None:
        self._own = RunLog(self.path)

    def close(self) -> None:
        """Let other runs in."""
        if self._own is not None:
            self._own.close()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """As in one process."""
        from_first(lambda: RunLog.write_json(self, name, content))

    def set_status(self, status: str, step: int, reason: str, **more: Any) -> None:
        """As in one process; a failure is noted alone, for the others may be gone."""
        if status != "failed":
            super().set_status(status, step, reason, **more)
        elif self._own is not None:
            self._own.set_status(status, step, reason, **more)

    def log(self, kind: str, rows: Iterable[dict[str, Any]]) -> None:
        """As in one process."""
        from_first(lambda: RunLog.log(self, kind, rows))

    def truncate(self, step: int | None) -> None:
        """As in one process."""
        from_first(lambda: RunLog.truncate(self, step))


class SharedGradients(GradientLog):
    """A gradient log of several processes."""

    def flush(self) -> None:
        """As in one process."""
        from_first(lambda: GradientLog.flush(self))
        self._steps, self._rows = [], {}

    def truncate(self, step: int) -> None:
        """As in one process."""
        from_first(lambda: GradientLog.truncate(self, step))


class SharedCheckpoints(Checkpoints):
    """Checkpoints of several processes: the first's files, all processes' states."""

    def __init__(self, path: Path):
        self._own: Checkpoints | None = None
        self._read: tuple[Tree, Progress] | None = None
        from_first(lambda: self._open(path))

    def _open(self, path: Path) -> None:
        self._own = Checkpoints(path)

    def save(self, which: str, state: Tree, progress: Progress) -> None:
        """Save under `last` or `best`; `RunError` if it fails, or the processes' states differ."""
        whole = on_host(state)
        require_same(whole)

        def write() -> None:
            assert self._own is not None
            self._own.save(which, whole, progress)

        from_first(write)

    def restore(self, which: str, like: T) -> tuple[T, Progress] | None:
        """The newest intact checkpoint in the form of `like`, or None if there is none."""
        whole: Any = on_host(like)

        def read() -> dict[str, Any] | None:
            assert self._own is not None
            self._read = self._own.restore(which, whole)
            return None if self._read is None else asdict(self._read[1])

        progress = from_first(read)
        if progress is None:
            return None
        leaves, structure = jax.tree.flatten(whole if self._read is None else self._read[0])
        data = broadcast(b"".join(np.asarray(leaf).tobytes() for leaf in leaves))
        restored: Any = jax.tree.unflatten(structure, _split(data, jax.tree.leaves(whole)))
        return restored, Progress(**progress)

    def close(self) -> None:
        """Release Orbax's threads."""
        if self._own is not None:
            self._own.close()


def _split(data: bytes, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Arrays of the given shapes and types, one after the other in the bytes."""
    arrays, start = [], 0
    for leaf in like:
        end = start + leaf.nbytes
        arrays.append(np.frombuffer(data[start:end], leaf.dtype).reshape(leaf.shape))
        start = end
    return arrays


def require_same(tree: Tree) -> None:
    """Raise `RunError` unless all processes hold the same numbers, to the bit."""
    check = 0
    for leaf in jax.tree.leaves(tree):
        check = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), check)
    said = multihost_utils.process_allgather(np.array(check, np.uint32))
    if len(set(said.tolist())) > 1:
        raise RunError(
            "the processes of the run have come to different parameters; they must run on "
            "machines and versions of one kind"
        )
