"""A kill between two file operations, within this process."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


class Killed(BaseException):
    """What takes the place of a kill."""


armed: list[tuple[int, str]] = []


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Counts file operations while armed, and stops at the last one."""
    if armed and event in OPERATIONS and armed[0][1] in str(arguments[0]):
        left, name = armed.pop()
        if left == 1:
            raise Killed
        armed.append((left - 1, name))


sys.addaudithook(hook)


@contextmanager
def killed_at(operation: int, name: str) -> Iterator[list[bool]]:
    """The body ends at its n-th operation on paths with `name` in them, as a killed process.

    What it gives holds True afterwards if there were so many.
    """
    hit = [False]
    armed[:] = [(operation, name)]
    try:
        yield hit
    except Killed:
        hit[0] = True
    finally:
        armed.clear()
        wait_for_zarr()


def wait_for_zarr() -> None:
    """Wait until Zarr's own thread has nothing left to write.

    A kill ends every thread at once. Here Zarr's other writes of the same moment go on, and would
    land in the store that is made next.
    """
    from zarr.core.sync import sync

    sync(_others_done())


async def _others_done() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
