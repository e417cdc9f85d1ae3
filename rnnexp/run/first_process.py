"""Objects over files that only the first process of a run has, and all processes use.

If one process computes the run, `in_first_process` returns the object itself.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from rnnexp.core.types import Tree
from rnnexp.run.callbacks import RunResult, read_result
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.runtime.collectives import broadcast, from_first, require_same
from rnnexp.runtime.mesh import on_host, process_count

T = TypeVar("T")


def in_first_process(make: Callable[..., T], path: Path, *arguments: Any) -> T:
    """`make(path, *arguments)`, an object over files, whose methods run in the first process.

    All processes make each call together; all get what it returns or raises: see `from_first`.
    """
    if process_count() == 1:
        return make(path, *arguments)
    proxy: Any = SharedCheckpoints if make is Checkpoints else FirstProcess
    proxied: T = proxy(make, path, *arguments)
    return proxied


def shared_result(path: Path) -> RunResult | None:
    """`read_result` by the first process, for all of them."""

    def read() -> dict[str, Any] | None:
        result = read_result(path)
        return None if result is None else vars(result) | {"path": str(path)}

    content = from_first(read)
    return None if content is None else RunResult(**{**content, "path": path})


class FirstProcess:
    """Stands for an object that only the first process has."""

    def __init__(self, make: Callable[..., Any], path: Path, *arguments: Any):
        self.path = path
        self._own: Any = None

        def open_here() -> None:
            self._own = make(path, *arguments)

        from_first(open_here)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            return from_first(lambda: getattr(self._own, name)(*arguments, **keywords))

        return call

    def close(self) -> None:
        """Close the object if this process has it; no process waits for another."""
        if self._own is not None:
            self._own.close()

    def set_failed(self, *arguments: Any) -> None:
        """Record a failure if this process has the object; the others may have ended."""
        if self._own is not None:
            self._own.set_failed(*arguments)


class SharedCheckpoints(FirstProcess):
    """Stands for the first process's checkpoints; each process has a state of its own."""

    def save(self, which: str, state: Tree, progress: Progress) -> None:
        """As `Checkpoints.save`; raises `RunError` also if the processes' states differ."""
        whole = on_host(state)
        require_same(whole)
        from_first(lambda: self._own.save(which, whole, progress))

    def restore(self, which: str, like: T) -> tuple[T, Progress] | None:
        """As `Checkpoints.restore`; the first process sends the arrays to the others."""
        return self._sent(like, lambda whole: self._own.restore(which, whole))

    def restore_to_resume(self, like: T) -> tuple[T, Progress] | None:
        """As `Checkpoints.restore_to_resume`, sent likewise."""
        return self._sent(like, lambda whole: self._own.restore_to_resume(whole))

    def _sent(
        self, like: T, restore: Callable[[T], tuple[T, Progress] | None]
    ) -> tuple[T, Progress] | None:
        whole: Any = on_host(like)
        found: list[Tree] = []

        def read() -> dict[str, Any] | None:
            restored = restore(whole)
            if restored is None:
                return None
            found.append(restored[0])
            return asdict(restored[1])

        progress = from_first(read)
        if progress is None:
            return None
        leaves, structure = jax.tree.flatten(found[0] if found else whole)
        data = broadcast(b"".join(np.asarray(leaf).tobytes() for leaf in leaves))
        restored: Any = jax.tree.unflatten(structure, _split(data, jax.tree.leaves(whole)))
        return restored, Progress(**progress)


def _split(data: bytes, like: list[np.ndarray]) -> list[np.ndarray]:
    """The arrays, of the shapes and types of `like`, that follow each other in the bytes."""
    arrays, start = [], 0
    for leaf in like:
        end = start + leaf.nbytes
        arrays.append(np.frombuffer(data[start:end], leaf.dtype).reshape(leaf.shape))
        start = end
    return arrays
