"""Chooses the runs of a report."""

from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.errors import UsageError
from rnnexp.results.index import Memory, load_records
from rnnexp.results.summary import Record, as_shown, read_record

UNBEGUN = ("waiting", "damaged")


def find_all(directories: Sequence[Path]) -> list[Record]:
    """All runs below directories, each once.

    A directory is that of a run, of a sweep or of many runs. Raises `UsageError` if one holds
    no runs.
    """
    found: dict[Path, Record] = {}
    for directory in directories:
        for record in records_of(directory):
            found.setdefault(Path(record.path).resolve(), record)
    return list(found.values())


def to_show(found: Sequence[Record], directories: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """The runs of a page, and a note on each that is left out; see `begun`.

    Raises `UsageError` if all are left out.
    """
    records, notes = begun(found)
    if not records:
        where = ", ".join(map(str, directories))
        raise UsageError(f"no run in {where} can be shown. {' '.join(notes[:3])}".strip())
    return records, notes


def begun(found: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The runs that can be shown, and a note on those that are left out."""
    notes = []
    if waiting := sum(record.status == "waiting" for record in found):
        notes.append(f"Left out: {waiting} planned runs that have not begun.")
    damaged = [record for record in found if record.status == "damaged"]
    notes += [left_out(record.path, record.reason) for record in damaged]
    return [record for record in found if record.status not in UNBEGUN], notes


def left_out(path: str | Path, reason: object) -> str:
    """The note on a run that cannot be read."""
    return f"Left out: {path} cannot be read: {reason}"


def records_of(directory: Path, memory: Memory | None = None) -> list[Record]:
    """The runs of a directory of runs, of a sweep or of one run; `memory` as of `read_index`."""
    if not (directory / "status.json").exists():
        return load_records(directory, memory)
    path = directory.resolve()
    if len(path.parts) < 4:
        raise UsageError(f"{directory} is not a run's directory: it must be TASK/CELL/RUN_ID")
    run = "/".join(path.parts[-3:])
    record = read_record(str(path.parents[2]), run, (path / "status.json").stat().st_mtime_ns)
    return [] if record is None else [as_shown(record)]
