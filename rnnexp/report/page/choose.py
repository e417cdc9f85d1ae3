"""Chooses the runs of a report, their order and their labels."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.results.groups import telling_keys, value_text, varying
from rnnexp.results.index import load_records
from rnnexp.results.summary import Record, as_shown, read_record

UNBEGUN = ("waiting", "damaged")
NAMES = ("task.name", "cell.name")


class Named(NamedTuple):
    """A run of the report.

    Attributes:
      label: a short name, unique in the report.
      options: the values of the keys, except the seed, on which runs of its task and cell differ,
        and of the keys of all cells on which runs of its task differ.
      group, member: the number of its setting, and of the run within that setting.
    """

    record: Record
    label: str
    options: dict[str, str]
    group: int
    member: int


def find_records(directories: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """The runs below directories, each once, and a note on each that is left out.

    A directory is that of a run, of a sweep or of many runs. Runs are left out if they have not
    started or their configuration cannot be read. Raises `UsageError` if a directory holds no
    runs, or all of them are left out.
    """
    found: dict[Path, Record] = {}
    for directory in directories:
        for record in _records(directory):
            found.setdefault(Path(record.path).resolve(), record)
    notes = []
    if waiting := sum(record.status == "waiting" for record in found.values()):
        notes.append(f"Left out: {waiting} planned runs that have not begun.")
    damaged = [record for record in found.values() if record.status == "damaged"]
    notes += [left_out(record.path, record.reason) for record in damaged]
    records = [record for record in found.values() if record.status not in UNBEGUN]
    if not records:
        where = ", ".join(map(str, directories))
        raise UsageError(f"no run in {where} can be shown. {' '.join(notes[:3])}".strip())
    return records, notes


def left_out(path: str | Path, reason: object) -> str:
    """The note on a run that cannot be read."""
    return f"Left out: {path} cannot be read: {reason}"


def name_runs(records: Sequence[Record]) -> list[Named]:
    """Labels and groups, in the order of task, cell, options and seed.

    A label has the cell, and the task, options and seed if these differ among the runs. Two
    labels that would be equal also have the run's directory.
    """
    tasks = len({record.keys.get("task.name") for record in records})
    seeds = len({record.keys.get("seed") for record in records})
    named = []
    for names, like in _by_names(records).items():
        same = [record for record in records if _names(record)[0] == names[0]]
        shared = [key for key in varying(same) if all(key in record.keys for record in same)]
        keys = dict.fromkeys([*varying(like), *shared])
        shown = [key for key in telling_keys(like) if key not in NAMES]
        for record in like:
            options = _options(record, keys)
            texts = list(names[0 if tasks > 1 else 1 :])
            texts += [f"{_short(key)}={options[key]}" for key in shown if key in options]
            texts += [f"seed {record.keys.get('seed')}"] if seeds > 1 else []
            named.append(Named(record, " ".join(texts), options, 0, 0))
    return _numbered(sorted(named, key=_place))


def _numbered(named: Sequence[Named]) -> list[Named]:
    """The same runs with groups, members and unique labels."""
    times = Counter(run.label for run in named)
    groups, members = dict[str, int](), Counter[str]()
    result = []
    for run in named:
        setting = json.dumps([_names(run.record), run.options])
        group, member = groups.setdefault(setting, len(groups)), members[setting]
        members[setting] += 1
        label = run.label if times[run.label] == 1 else f"{run.label} ({run.record.path})"
        result.append(run._replace(label=label, group=group, member=member))
    return result


def _records(directory: Path) -> list[Record]:
    if not (directory / "status.json").exists():
        return load_records(directory)
    path = directory.resolve()
    if len(path.parts) < 4:
        raise UsageError(f"{directory} is not a run's directory: it must be TASK/CELL/RUN_ID")
    run = "/".join(path.parts[-3:])
    record = read_record(str(path.parents[2]), run, (path / "status.json").stat().st_mtime_ns)
    return [] if record is None else [as_shown(record)]


def _options(record: Record, keys: Iterable[str]) -> dict[str, str]:
    return {
        key: value_text(record.keys[key])
        for key in keys
        if key not in NAMES and record.keys.get(key) is not None
    }


def _short(key: str) -> str:
    """`learning_rate` of `optimizer.learning_rate`, but `clip` of `clip.name`."""
    section, _, last = key.rpartition(".")
    return section if last == "name" and section else last


def _by_names(records: Sequence[Record]) -> dict[tuple[str, ...], list[Record]]:
    """Runs by their task and cell."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_names(record), []).append(record)
    return groups


def _names(record: Record) -> tuple[str, ...]:
    return tuple(str(record.keys.get(key)) for key in NAMES)


def _place(run: Named) -> tuple:
    """A run's sort key in the report: task, cell, options, seed."""
    seed = run.record.keys.get("seed")
    number = seed if isinstance(seed, int) else 0
    return *_names(run.record), list(run.options.items()), number, run.record.run
