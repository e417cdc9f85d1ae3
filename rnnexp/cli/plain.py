"""Tables as plain text, quick enough for many thousands of rows."""

from collections.abc import Sequence
from typing import Any

GAP = "  "


def plain_table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """A title, a line of column names, and a line a row, without the last line break.

    Columns are those of the first row, texts to the left and everything else to the
    right; floats have four significant digits. Nothing is cut or folded: line breaks
    within a value become spaces.
    """
    if not rows:
        return title
    columns = [_column(name, [row[name] for row in rows]) for name in rows[0]]
    lines = [GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join([title, lines[0], "-" * len(lines[0]), *lines[1:]])


def _column(name: str, values: list[Any]) -> list[str]:
    """The name and the values as texts of one width."""
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
