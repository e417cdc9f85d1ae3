"""Tables and durations on the console."""

from collections.abc import Sequence
from typing import Any

MANY_ROWS = 200
"""A table of more rows is plain text, whose layout takes no time."""
GAP = "  "


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
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for name, value in rows[0].items():
        justify: JustifyMethod = "left" if isinstance(value, str) else "right"
        table.add_column(Text(name), justify=justify, overflow="fold")
    for row in rows:
        cells = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values())
        table.add_row(*map(Text, cells))  # Text: brackets in a summary are no markup

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for `main`, as if it had been printed without a table

    console = Quiet()
    wide = console if console.is_terminal else Quiet(width=160)
    wide.print(table)


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
