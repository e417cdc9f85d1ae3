"""Tables on the console."""

from collections.abc import Sequence

from rnnexp.cli.plain import plain_table

MANY_ROWS = 200
"""Beyond so many rows a table is plain text, which takes no time to lay out."""


def print_table(title: str, rows: Sequence[dict[str, object]]) -> None:
    """Rows of like keys as a table; plain text if there are many."""
    if len(rows) > MANY_ROWS:
        print(plain_table(title, rows), end="")
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
    console = Console()
    wide = console if console.is_terminal else Console(width=160)
    wide.print(table)
