"""The lines of a `metrics.jsonl` that grows, of which each pass reads the new ones alone."""

from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.run.files import parse_lines

MARK = 256
"""Bytes before the end of what was read, by which a file that was replaced is told."""


class Tail(NamedTuple):
    """What was read of a file.

    Attributes:
      rows: its lines.
      end: bytes that these take.
      mark: the last bytes of them; as a line has its time, no other file has the same there.
    """

    rows: list[dict[str, Any]]
    end: int = 0
    mark: bytes = b""


def read_on(run: Path, before: Tail | None = None) -> Tail:
    """The lines of a run's `metrics.jsonl`, of which `before` holds those of an earlier pass.

    A last line without its line break is left to the next pass. A file that was replaced or cut,
    as by a run that is resumed, is read from its start.

    Raises `UsageError` if it may not be read, or a line is damaged.
    """
    file, known = run / "metrics.jsonl", before or Tail([])
    try:
        with file.open("rb") as stream:
            stream.seek(known.end - len(known.mark))
            if stream.read(len(known.mark)) != known.mark:
                known = Tail([])
                stream.seek(0)
            new = stream.read()
    except FileNotFoundError:
        return Tail([])
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    whole = new[: new.rfind(b"\n") + 1]
    rows = parse_lines(file, whole.splitlines(), len(known.rows) + 1)
    return Tail([*known.rows, *rows], known.end + len(whole), (known.mark + whole)[-MARK:])
