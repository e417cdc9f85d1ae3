"""Delimited text (CSV and its kin) as a table; delimiter and header are found unless given.

Comma, semicolon, tab, bar, or runs of white space; cells may stand in double quotes (RFC 4180).
"""

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.data.table import Table, is_number
from rnnexp.data.text import read_text

DELIMITERS = {"tab": "\t", "semicolon": ";", "bar": "|", "comma": ",", "space": " "}
"""By their names. Found is the first that divides all of the first lines alike, so that a decimal
comma or a date with a space does not divide a cell."""
HEADERS = ("auto", "yes", "no")
SAMPLE_LINES = 20


def read_delimited(path: Path, *, delimiter: str = "", header: str = "auto") -> Table:
    """All cells of a UTF-8 file as texts. Columns without a name are called by their number from 1.

    Args:
      delimiter: a name of `DELIMITERS` or one of these marks; "": it is found.
      header: yes or no: whether the first line has the names of the columns; auto: it has if none
        of its cells is a number.

    Raises `UsageError` for a file that cannot be read, a line with another number of cells than
    the first, a name that two columns have, or a table without rows.
    """
    require_choice("option 'header'", header, HEADERS)
    if delimiter and delimiter not in DELIMITERS.values():
        require_choice("option 'delimiter'", delimiter, DELIMITERS)
    text = read_text(path)
    mark = DELIMITERS.get(delimiter, delimiter) or find_delimiter(text)
    try:
        numbered = list(divided(text, mark))
    except csv.Error as error:
        raise UsageError(f"{path} cannot be read as delimited text: {error}") from error
    if not numbered:
        raise UsageError(f"{path} has no line with a value")
    width = len(numbered[0][1])
    for line, row in numbered:
        if len(row) != width:
            raise UsageError(
                f"{path}, line {line} has {len(row)} cells, expected {width} as in line "
                f"{numbered[0][0]} (divided by {_name(mark)}; config.task.delimiter sets another)"
            )
    first = numbered[0][1]
    names = [str(number) for number in range(1, width + 1)]
    if header == "yes" or (header == "auto" and not any(map(is_number, first))):
        names = [cell.strip() or name for cell, name in zip(first, names, strict=True)]
        del numbered[0]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(f"{path} has two columns with the name {name!r}")
    if not numbered:
        raise UsageError(f"{path} has the names of columns and no row of values")
    lines, rows = zip(*numbered, strict=True)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return Table(str(path), columns, lines)


def find_delimiter(text: str) -> str:
    """The mark that divides the first lines into equally many cells, more than one.

    If none does, the one that is most frequent in the first line, or a comma.
    """
    sample = "".join(itertools.islice(io.StringIO(text), SAMPLE_LINES))
    for mark in DELIMITERS.values():
        try:
            widths = {len(row) for _, row in divided(sample, mark)}
        except csv.Error:
            continue
        if len(widths) == 1 and widths.pop() > 1:
            return mark
    first = sample.lstrip().partition("\n")[0]
    return max((",", *DELIMITERS.values()), key=first.count)


def divided(text: str, mark: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text that are not blank, by their number from 1, divided into cells."""
    if mark == " ":
        for number, line in enumerate(text.split("\n"), 1):
            if cells := line.split():
                yield number, cells
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    begin = 1
    for row in reader:
        if len(row) > 1 or "".join(row).strip():
            yield begin, row
        begin = reader.line_num + 1


def _name(mark: str) -> str:
    return next(name for name, of_name in DELIMITERS.items() if of_name == mark)
