"""Checkpoints through Orbax: the last two, the best by validation, and those kept for good.

Orbax makes a checkpoint appear whole or not at all, but it does not notice a bit that flips
afterwards. So each checkpoint has the SHA-256 of its arrays, and a damaged one is set aside
for the one before it.
"""

import gc
import hashlib
import logging
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from rnnexp.core.errors import RunError, UsageError, first_line
from rnnexp.core.files import made_beside, require_readable
from rnnexp.core.tree import named_leaves
from rnnexp.core.types import Tree

log = logging.getLogger("rnnexp")
T = TypeVar("T")
REMAINS_S = 0.2
"""How long the reads that Orbax leaves behind at a failure may take to end."""
KEPT: dict[str, int | None] = {"last": 2, "best": 1, "kept": None}
"""How many checkpoints of each kind are kept; None: all."""


@dataclass(frozen=True)
class Progress:
    """What the host remembers between chunks. Its text enters a checkpoint's digest.

    Attributes:
      step: updates made.
      best_value, best_step: the best validation headline and when; None before the first.
      stale_evaluations: evaluations since the best one, for early stopping.
    """

    step: int = 0
    best_value: float | None = None
    best_step: int | None = None
    stale_evaluations: int = 0


class Checkpoints:
    """The checkpoints of one run: of each kind in `KEPT` by the number of updates made."""

    def __init__(self, path: Path):
        self.path = path
        self._managers: dict[str, Any] = {}
        self._saved: tuple[Progress, str] | None = None

    def _manager(self, which: str) -> Any:
        """Orbax's manager of a kind, made when it is first asked for."""
        if which not in self._managers:
            self._managers[which] = _manager(self.path / which, KEPT[which])
        return self._managers[which]

    def save(self, which: str, state: Tree, progress: Progress) -> None:
        """Save under `last`, `best` or `kept`. Raises `RunError` if it cannot be stored."""
        import orbax.checkpoint as ocp  # slow to import, and the first steps do not need it

        manager = self._manager(which)
        if progress.step in manager.all_steps():
            return  # runs are deterministic, so it is the same
        same = self._saved is not None and self._saved[0] == progress
        if same and self._copied(which):
            return
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            meta=ocp.args.JsonSave(
                {"digest": digest(state, progress), "progress": asdict(progress)}
            ),
        )
        try:
            manager.save(progress.step, args=content)
            manager.wait_until_finished()
        except Exception as error:  # Orbax passes on whatever its storage layers raise
            reason = first_line(error)
            raise RunError(f"cannot save a checkpoint in {self.path}: {reason}") from error
        self._saved = progress, which

    def _copied(self, target: str) -> bool:
        """Copy the files of the checkpoint just saved, of whatever kind, to the kind `target`.

        This is much faster than to save it again. False if the files cannot be copied.
        """
        assert self._saved is not None
        progress, source = self._saved
        step = str(progress.step)
        try:
            with made_beside(self.path / target / step) as part:
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(self.path / source / step, part)
        except OSError as error:
            log.debug("checkpoint %s/%s is saved anew: %s", target, step, error)
            return False
        manager = self._manager(target)
        manager.reload()
        if (most := KEPT[target]) is not None:
            for old in sorted(manager.all_steps())[:-most]:
                manager.delete(old)
        return True

    def restore_to_resume(self, like: T) -> tuple[T, Progress] | None:
        """The checkpoint to resume from, or None if there is none.

        If all of kind `last` are damaged, it is the newest intact one of the other kinds, but
        none newer than those: only they are saved after all records before them are written.

        Raises `UsageError` as `restore` does.
        """
        steps = [step for step, which in stored_steps(self.path) if which == "last"]
        restored = self.restore("last", like)
        if restored is not None or not steps:
            return restored
        for step, which in reversed(stored_steps(self.path)):
            if which == "last" or step > max(steps):
                continue
            if (restored := self._restored(which, step, like)) is not None:
                log.warning("goes on from checkpoint %s/%d", which, step)
                return restored
        return None

    def restore(self, which: str, like: T) -> tuple[T, Progress] | None:
        """The newest intact checkpoint in the form of `like`, or None if there is none.

        A damaged one is moved to `damaged/`, with a warning, and the one before it is read.

        Raises:
          UsageError: the checkpoint has floats of another precision than `like`, or may not be
            read.
        """
        require_readable(self.path / which)
        if not (self.path / which).exists():
            return None
        for step in sorted(self._manager(which).all_steps(), reverse=True):
            if (restored := self._restored(which, step, like)) is not None:
                return restored
            log.warning("going back to the checkpoint before it")
        return None

    def _restored(self, which: str, step: int, like: T) -> tuple[T, Progress] | None:
        """One checkpoint; None if it is damaged, which is said, and it is set aside."""
        restored = restored_or_reason(self._manager(which), step, like)
        if not isinstance(restored, str):
            return restored
        log.warning("checkpoint %s/%d is damaged (%s)", which, step, restored)
        self._set_aside(which, step)
        return None

    def _set_aside(self, which: str, step: int) -> None:
        target = self.path / "damaged" / f"{which}-{step}"
        target.parent.mkdir(exist_ok=True)
        number = 0
        while target.exists():
            number += 1
            target = target.with_name(f"{which}-{step}-{number}")
        (self.path / which / str(step)).rename(target)
        self._manager(which).reload()

    def close(self) -> None:
        """Release Orbax's threads."""
        for manager in self._managers.values():
            manager.close()


def read_checkpoints(
    path: Path, like: T, leave_out: Collection[int] = ()
) -> Iterator[tuple[T, Progress]]:
    """Every intact checkpoint of a run, of all kinds, by step; the files are not changed.

    A run may be writing them, so one that vanishes or is damaged is passed over with a
    warning. No step comes twice.

    Args:
      path: the run's `checkpoints` folder.
      like: the form of a state.
      leave_out: steps that are not wanted.

    Raises:
      UsageError: a checkpoint has floats of another precision than `like`, or may not be read.
    """
    import orbax.checkpoint as ocp

    require_readable(path)
    given = -1
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        for step, which in stored_steps(path):
            folder = path.absolute() / which / str(step)
            if step == given or step in leave_out:
                continue
            restored = restored_or_reason(reader, folder, like)
            if isinstance(restored, str):
                why = f"is damaged ({restored})" if folder.exists() else "is gone"
                log.warning("checkpoint %s/%d %s: passed over", which, step, why)
                continue
            given = step
            yield restored


def stored_steps(path: Path) -> list[tuple[int, str]]:
    """The step and the kind of every checkpoint in a run's `checkpoints` folder, by step."""
    return sorted(
        (int(folder.name), which)
        for which in KEPT
        for folder in (path / which).glob("*")
        if folder.name.isdigit()
    )


def restored_or_reason(reader: Any, where: int | Path, like: T) -> tuple[T, Progress] | str:
    """`restore_step`, or why the checkpoint cannot be read."""
    with _without_remains():
        try:
            return restore_step(reader, where, like)
        except UsageError:
            raise
        except Exception as error:  # damage shows as any kind of error
            reason = first_line(error)[:200]
        gc.collect()
        time.sleep(REMAINS_S)
    return reason


@contextmanager
def _without_remains() -> Iterator[None]:
    """Say nothing of the reads that Orbax leaves behind when one of them fails.

    They end a moment later, and complain to nobody that their event loop is closed.
    """
    hook = sys.unraisablehook

    def on_unraisable(unraisable: Any) -> None:
        if "Event loop is closed" not in str(unraisable.exc_value):
            hook(unraisable)

    sys.unraisablehook = on_unraisable
    try:
        yield
    finally:
        sys.unraisablehook = hook


def restore_step(reader: Any, where: int | Path, like: T) -> tuple[T, Progress]:
    """A checkpoint in the form of `like`.

    Args:
      reader: Orbax's manager of a kind, or its plain checkpointer.
      where: for a manager the step, for a checkpointer the checkpoint's folder.

    Raises:
      UsageError: it has floats of another precision than `like`.
      Exception: of any kind, if it is damaged.
    """
    import orbax.checkpoint as ocp

    template = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    content = reader.restore(
        where,
        args=ocp.args.Composite(
            state=ocp.args.StandardRestore(template), meta=ocp.args.JsonRestore()
        ),
    )
    progress = Progress(**content.meta["progress"])
    if digest(content.state, progress) != content.meta["digest"]:
        _require_precision(reader, where, like)
        raise ValueError("its content does not match its checksum")
    return content.state, progress


def _require_precision(reader: Any, where: int | Path, like: Tree) -> None:
    """Raise `UsageError` for floats of another precision than `like`, which Orbax converts."""
    import orbax.checkpoint as ocp

    stored = reader.restore(where, args=ocp.args.Composite(state=ocp.args.StandardRestore())).state
    if (double := _is_double(stored)) != _is_double(like):
        raise UsageError(
            f"the run computed in {'float64' if double else 'float32'}; set "
            f"JAX_ENABLE_X64={int(double)} to read its checkpoints"
        )


def _is_double(tree: Tree) -> bool:
    """Whether a tree has float64 or complex128 leaves."""
    return any(
        np.dtype(leaf.dtype) in (np.float64, np.complex128) for leaf in jax.tree.leaves(tree)
    )


def digest(tree: Tree, progress: Progress) -> str:
    """SHA-256 of the progress and of names, types, shapes and bytes of a tree's arrays."""
    result = hashlib.sha256(repr(progress).encode())
    for name, leaf in named_leaves(tree).items():
        array = np.asarray(leaf)
        result.update(f"{name} {array.dtype} {array.shape};".encode())
        result.update(np.ascontiguousarray(array).tobytes())
    return result.hexdigest()


def _manager(path: Path, keep: int | None) -> Any:
    import orbax.checkpoint as ocp

    path.mkdir(parents=True, exist_ok=True)
    # Only the first of a run's processes has checkpoints: Orbax must not wait for the others.
    only = {jax.process_index()} if jax.process_count() > 1 else None
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        create=False,
        enable_async_checkpointing=False,
        multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes=only),
    )
    return ocp.CheckpointManager(path.absolute(), options=options)
