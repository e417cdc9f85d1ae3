"""Communication between the processes of a run: all compute, the first one writes the files.

Every process takes the same steps. Work that only the first does (files, the clock) goes through
`from_first`, so that all get its result or its error. One process communicates nothing.
"""

import json
import signal
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.types import Tree
from rnnexp.runtime.mesh import process_count
from rnnexp.runtime.signals import BUDGET

ERRORS = {kind.__name__: kind for kind in (UsageError, RunError, OSError)}
BLOCK = 4096  # least bytes sent; the size is rounded up, as each size compiles a program
OTHER = 1000  # stands for a reason to stop that is no signal; above all of these
T = TypeVar("T")


def is_first() -> bool:
    """Whether this process writes the files."""
    return process_count() == 1 or jax.process_index() == 0


def from_first(function: Callable[[], T]) -> T:
    """What `function` returns or raises in the first process; the others do not call it.

    With several processes JSON must be able to hold the result, and `UsageError`, `RunError`
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
    """The bytes of the first process; those of the others are ignored."""
    size = int(multihost_utils.broadcast_one_to_all(np.array(len(data), np.int32)))
    padded = max(BLOCK, 1 << (size - 1).bit_length())
    sent = np.frombuffer(data[:size].ljust(padded, b"\0"), np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(sent))[:size].tobytes()


def agree(stop: str | None, pace: int) -> tuple[str | None, int]:
    """What asks any of the processes to stop, and the first process's number of steps.

    A signal or the time budget may come to any of them, another reason to the first one alone.
    """
    if process_count() == 1:
        return stop, pace
    known = {None: 0, BUDGET: OTHER} | {one.name: one.value for one in signal.Signals}
    number = known.get(stop, OTHER)
    gathered = multihost_utils.process_allgather(np.array([number, pace], np.int32))
    number, pace = int(gathered[:, 0].max()), int(gathered[0, 1])
    if number == OTHER:
        said = from_first(lambda: stop if known.get(stop, OTHER) == OTHER else None)
        return said or BUDGET, pace
    return (signal.Signals(number).name if number else None), pace


def require_same(tree: Tree) -> None:
    """Raise `RunError` unless all processes hold the same numbers, bit for bit."""
    check = 0
    for leaf in jax.tree.leaves(tree):
        check = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), check)
    checks = multihost_utils.process_allgather(np.array(check, np.uint32))
    if len(set(checks.tolist())) > 1:
        raise RunError(
            "the processes of the run have come to different parameters; they must run on "
            "machines and versions of one kind"
        )
