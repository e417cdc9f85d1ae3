"""The live area at a terminal's foot: columns that fit its width, and nothing else writes into it.

What the program prints, logs or warns of meanwhile stands above the area.
"""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

REFRESH_HZ = 4.0
GAP = 2
"""Blanks between two columns."""
BAR_WIDTH = 24


class Column(NamedTuple):
    """One figure of a live line.

    Attributes:
      rank: of its importance; 0 is the most important, and the highest is left out first.
      width: what it may take at most, so that the columns stand still while figures change.
      text: what it says now; None for a bar.
      done: of a bar: the finished part, from 0 to 1; None: unknown yet.
    """

    rank: int
    width: int
    text: str | None
    done: float | None = None


def fitting(rows: Sequence[Sequence[Column]], width: int) -> list[int]:
    """The indices of the columns that fit into `width`, the most important first to be taken.

    Args:
      rows: of equal length; the columns at one index have the same rank.

    A column that does not fit leaves its place to less important, narrower ones. The first in
    rank is always there.
    """
    widths = [max(column.width for column in index) for index in zip(*rows, strict=True)]
    ranks = [column.rank for column in rows[0]] if rows else []
    taken: list[int] = []
    left = width
    for index in sorted(range(len(ranks)), key=ranks.__getitem__):
        need = widths[index] + (GAP if taken else 0)
        if need <= left or not taken:
            taken.append(index)
            left -= need
    return sorted(taken)


def lines(rows: Sequence[Sequence[Column]], width: int) -> Table:
    """The rows, one below the other, with the columns that fit into `width`; none is wrapped."""
    taken = fitting(rows, width)
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for index in taken:
        table.add_column(
            no_wrap=True, overflow="ellipsis",
            width=min(width, max(row[index].width for row in rows)),
        )  # fmt: skip
    for row in rows:
        table.add_row(*(_cell(row[index]) for index in taken))
    return table


def _cell(column: Column) -> RenderableType:
    if column.text is not None:
        return Text(column.text)
    done = column.done
    return ProgressBar(total=1.0, completed=done or 0.0, width=column.width, pulse=done is None)


def is_live(console: Console) -> bool:
    """Whether a live area can be drawn: a terminal that obeys control sequences.

    Variables such as `FORCE_COLOR` make Rich take a pipe for a terminal; here they do not.
    """
    return console.is_interactive and not console.is_dumb_terminal and console.file.isatty()


class LiveArea:
    """Draws `render(width, height)` at the foot of a terminal until it is closed.

    Standard output and standard error are passed on above the area, as far as they are terminals
    themselves; so are the handlers of `logging` that write to one of them, whichever library
    they belong to.
    """

    def __init__(self, console: Console, render: Callable[[int, int], RenderableType]):
        self.console, self.render = console, render
        self.live = Live(
            self, console=console, refresh_per_second=REFRESH_HZ, transient=True,
            redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop",
        )  # fmt: skip
        self.given: dict[str, TextIO] = {}
        self.handlers: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        yield self.render(options.max_width, console.size.height)

    def open(self) -> None:
        """Begin to draw."""
        if self.live.is_started:
            return
        self.live.start(refresh=True)
        proxies = {}
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _same_terminal(stream, self.console.file):
                self.given[name] = stream
                proxies[id(stream)] = _Above(self.console, stream)
                setattr(sys, name, proxies[id(stream)])
        for handler in _stream_handlers():
            if (proxy := proxies.get(id(handler.stream))) is not None:
                self.handlers.append((handler, handler.stream))
                handler.setStream(cast(TextIO, proxy))

    def close(self) -> None:
        """Clear the area, and give back the streams."""
        for handler, stream in self.handlers:
            handler.setStream(stream)
        for name, stream in self.given.items():
            getattr(sys, name).end()
            setattr(sys, name, stream)
        self.handlers, self.given = [], {}
        self.live.stop()


def _same_terminal(one: TextIO | None, other: IO[str]) -> bool:
    """Whether both streams lead to the same terminal."""
    if one is None or not (one.isatty() and other.isatty()):
        return False
    return os.fstat(one.fileno()).st_rdev == os.fstat(other.fileno()).st_rdev


def _stream_handlers() -> Iterator["logging.StreamHandler[TextIO]"]:
    """The handlers of all loggers that write to streams."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    seen = {h: None for one in loggers if isinstance(one, logging.Logger) for h in one.handlers}
    yield from (handler for handler in seen if isinstance(handler, logging.StreamHandler))


class _Above(io.TextIOBase):
    """A terminal's stream whose whole lines are printed above the live area, unchanged.

    Rich itself writes to `rich_proxied_file`.
    """

    def __init__(self, console: Console, stream: TextIO):
        self.console, self.rich_proxied_file, self.rest = console, stream, ""
        self.lock = threading.RLock()

    def write(self, text: str) -> int:
        with self.lock:
            *whole, self.rest = (self.rest + text).split("\n")
            if whole:
                self._print("\n".join(whole))
        return len(text)

    def end(self) -> None:
        """Print what has no line break yet."""
        if self.rest:
            self._print(self.rest)
            self.rest = ""

    def _print(self, text: str) -> None:
        above = Text.from_ansi(text)
        self.console.print(above, soft_wrap=True, highlight=False, markup=False)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.rich_proxied_file.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.rich_proxied_file.encoding
