"""A table of the user's from a file, by its ending: delimited text, NPZ or Parquet."""

from pathlib import Path

from rnnexp.core.errors import UsageError
from rnnexp.core.user_files import data_file
from rnnexp.data.arrays import read_npz, read_parquet
from rnnexp.data.delimited import read_delimited
from rnnexp.data.table import Table

DELIMITED = (".csv", ".tsv", ".txt", ".dat")
BINARY = {".npz": read_npz, ".parquet": read_parquet, ".pq": read_parquet}


def read_table(path: Path, *, delimiter: str = "", header: str = "auto") -> Table:
    """The table in a file, whose content becomes part of what a run with it is.

    Args:
      delimiter, header: how a text is read, see `read_delimited`.

    Raises `UsageError` for another ending, for `delimiter` or `header` of a file that is no text,
    and as the readers do.
    """
    kind = path.suffix.lower()
    if kind in DELIMITED:
        return read_delimited(data_file(path), delimiter=delimiter, header=header)
    if kind not in BINARY:
        raise UsageError(
            f"config.task.path: {path} ends in {path.suffix or 'nothing'!r}, expected "
            f"{', '.join((*DELIMITED, *BINARY))}"
        )
    if delimiter or header != "auto":
        raise UsageError(
            f"config.task.path: {path} is no delimited text; leave out delimiter and header"
        )
    return BINARY[kind](data_file(path))
