"""Tables and durations on the console."""

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

MANY_ROWS = 200
"""A table of more rows is plain text, whose layout takes no time."""
GAP = "  "
LONG_WORD, SHORT_WORD = 24, 16
"""Longer words are folded at need: of a table with a frame, of one without."""
FULL_BARS_FROM = 100
"""Columns of a terminal from which on sparklines have their full width, and not half of it."""


def duration_text(seconds: float) -> str:
    """`40 s`, `12 min`, `3.2 h` or `5.0 d`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} d"


def print_table(title: str, rows: Sequence[dict[str, object]]) -> None:
    """Print rows with equal keys as a table; plain text if there are many or none."""
    if not rows or len(rows) > MANY_ROWS:
        print(plain_table(title, rows))
        return
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for `main`, as if it had been printed without a table

    console = Quiet()
    wide = console if console.is_terminal else Quiet(width=160)
    wide.print(fitted_table(title, rows, wide.width))


def bars_width(full: int) -> int:
    """Characters of a sparkline of that full width, so that a table with one fits the terminal."""
    narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < FULL_BARS_FROM
    return full // 2 if narrow else full


def fitted_table(title: str, rows: Sequence[dict[str, object]], width: int) -> "RenderableType":
    """Rows with equal keys in a width: as a table if no number of it has to be broken.

    Where the framed table is too wide, the frame goes, then the fourth digit; where it still does
    not fit, each row is a block with a line for each value. Texts are folded at need.
    """
    from rich import box
    from rich.console import Group, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    names = list(rows[0])
    texts = [isinstance(value, str) for value in rows[0].values()]
    for framed, digits in ((True, 4), (False, 4), (False, 3)):
        cells = [[_cell(value, digits) for value in row.values()] for row in rows]
        room = width - (3 * len(names) + 1 if framed else len(names) - 1)
        widths = _widths([*zip(names, *cells, strict=True)], texts, room, framed=framed)
        if not widths:
            continue
        table = Table(title=title, title_justify="left")
        if not framed:
            table.box, table.show_edge, table.pad_edge = box.SIMPLE_HEAD, False, False
            table.padding = 0
        for name, is_text, column_width in zip(names, texts, widths, strict=True):
            justify: JustifyMethod = "left" if is_text else "right"
            table.add_column(Text(name), justify=justify, overflow="fold", width=column_width)
        for row in cells:
            table.add_row(*map(Text, row))  # Text: brackets in a summary are no markup
        return table
    blocks: list[RenderableType] = [Text(title, "italic")]
    for row in cells:
        block = Table.grid(padding=(0, 2, 0, 0))
        block.add_column(overflow="fold", width=min(max(map(len, names)), width // 2 - 2))
        block.add_column(overflow="fold")
        for name, cell in zip(names, row, strict=True):
            block.add_row(Text(name, "bold"), Text(cell))
        blocks += [Text(""), block]
    return Group(*blocks)


def _widths(
    columns: Sequence[Sequence[str]], texts: Sequence[bool], room: int, *, framed: bool
) -> list[int]:
    """The widths of columns, each with its head first, in `room`; empty if they do not fit.

    What is left over goes to the texts that would take the most lines.
    """
    widths = [
        _least_width(column, is_text=is_text, framed=framed)
        for column, is_text in zip(columns, texts, strict=True)
    ]
    whole = [max(map(len, column)) for column in columns]
    spare = room - sum(widths)
    if spare < 0:
        return []
    for _ in range(min(spare, sum(whole) - sum(widths))):
        index = max(range(len(widths)), key=lambda n: whole[n] / widths[n])
        widths[index] += 1
    return widths


def _cell(value: object, digits: int) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _least_width(cells: Sequence[str], *, is_text: bool, framed: bool) -> int:
    """What a column, of which the first cell is the head, needs: whole numbers, whole words.

    Texts may take several lines, but if there is room for a frame not one of few letters a line.
    """
    if not is_text:
        words = max((len(word) for word in cells[0].split()), default=0)
        return max(1, words, *map(len, cells[1:]))
    longest = max((len(word) for cell in cells for word in cell.split()), default=0)
    return min(max(1, longest), LONG_WORD if framed else SHORT_WORD)


def plain_table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """A title, a line of column names, and a line for each row, without the last line break.

    The columns are those of the first row, text left-aligned and all else right-aligned; floats
    have four significant digits. Nothing is cut or folded: line breaks in a value become spaces.
    """
    if not rows:
        return title
    columns = [_column(name, [row[name] for row in rows]) for name in rows[0]]
    lines = [GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join([title, lines[0], "-" * len(lines[0]), *lines[1:]])


def _column(name: str, values: list[Any]) -> list[str]:
    """The name and the values as text of equal width."""
    cells = [name, *map(_text, values)]
    width = max(map(len, cells))
    if isinstance(values[0], str):
        return [cell.ljust(width) for cell in cells]
    return [cell.rjust(width) for cell in cells]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
