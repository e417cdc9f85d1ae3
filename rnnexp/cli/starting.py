"""Says that a command is starting while it imports JAX, which takes seconds without a word.

Which import of the command leads to JAX's depends on the command and its arguments, and none does
if a name is mistyped. So the line is printed when JAX itself is about to be imported.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from typing import TextIO

LINE = "rnnexp: starting (importing JAX takes a few seconds)"


class _Announcer(MetaPathFinder):
    """Finds no module; says once that JAX is about to be imported."""

    def __init__(self, stream: TextIO):
        self.stream: TextIO | None = stream

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        """None, so that the import goes on as it would without this finder."""
        del path, target
        if name != "jax" or self.stream is None:
            return
        stream, self.stream = self.stream, None
        with suppress(OSError, ValueError):  # nobody reads it any more
            print(LINE, file=stream, flush=True)


@contextmanager
def announcing_jax(stream: TextIO | None) -> Iterator[None]:
    """Print a line to a terminal before JAX is imported in the body, if it is.

    Args:
      stream: nothing is printed unless it is a terminal, so that no script ever reads the line.
    """
    if stream is None or not stream.isatty():
        yield
        return
    announcer = _Announcer(stream)
    sys.meta_path.insert(0, announcer)
    try:
        yield
    finally:
        sys.meta_path.remove(announcer)
