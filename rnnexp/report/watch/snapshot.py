"""What the page shows at a moment, and what changed since another, without the server.

`look` makes a snapshot from the one before. It asks the system for the times and sizes of the
runs' files, and reads the runs of which a file changed; of `metrics.jsonl` it reads the new lines.
Everything that the page shows is a part with a version, so `changes` hands on what is new.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.report.page.answer import answers_html
from rnnexp.report.page.choose import begun, left_out, records_of
from rnnexp.report.page.collect import DAMAGE, naming, no_sizes, page_data, run_data
from rnnexp.report.page.thin import Sizes
from rnnexp.results.index import Memory
from rnnexp.results.labels import Named, name_runs
from rnnexp.results.load import load_run
from rnnexp.results.summary import Record
from rnnexp.results.winner import answers
from rnnexp.run.metrics_tail import Tail, read_on

GROWING = ("metrics.jsonl", "gradients.zarr/zarr.json", "laboratory.zarr/zarr.json")
"""The files of a run that change with what it recorded; a store's is replaced at every row."""
LARGE = ("curves", "profiles", "laboratory")
"""The parts of a run's data with versions of their own; the others have one together."""
ORDER, PAGE = "order", "page"

Stamp = tuple[tuple[int, int, int], ...]
"""Times, sizes and numbers (inodes) of a run's `GROWING` files; zeros of those not there."""


class Part(NamedTuple):
    """A part of the page, and the version since which it is so."""

    version: int
    content: Any


@dataclass(frozen=True)
class Reading:
    """A run as it was read: when, with how many others, and what the page has of it."""

    stamp: Stamp
    record: Record
    share: int
    tail: Tail | None
    data: dict[str, Any]
    thinned: dict[str, set[Sizes]]
    notes: list[str]


@dataclass(frozen=True)
class Snapshot:
    """The page at a moment.

    Attributes:
      version: grows with every change; 0: nothing was looked at.
      parts: by (a run's path, the part's name); those of the page itself have the path "".
      readings: by a run's path.
      memory: see `rnnexp.results.index.read_index`.
    """

    version: int = 0
    parts: Mapping[tuple[str, str], Part] = field(default_factory=dict)
    readings: Mapping[str, Reading] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)


def look(directory: Path, before: Snapshot) -> Snapshot:
    """The snapshot of a directory of runs, of a sweep or of one run, after an earlier one.

    A run that cannot be read just now stays as it was before, and a note says so.
    """
    found, notes = _records(directory, before)
    records, left = begun(found)
    notes += left
    readings: dict[str, Reading] = {}
    for named in name_runs(records):
        path, earlier = named.record.path, before.readings.get(named.record.path)
        try:
            readings[path] = _read(named, share_of(len(records)), earlier)
        except DAMAGE as error:
            reason = str(error) if isinstance(error, UsageError) else repr(error)
            notes.append(left_out(path, reason))
            if earlier is not None:
                readings[path] = replace(earlier, data=earlier.data | naming(named))
    page = _page(directory, readings, notes, answers_html(answers(found)))
    return _versioned(_contents(page, readings), readings, before)


def changes(snapshot: Snapshot, since: int) -> dict[str, Any]:
    """What a page of version `since` lacks.

    Returns:
      `version`; if it is another: `order`, the paths of all runs, and of the parts that are
      newer `page`, the words of the page, and `runs`, what is new of each run by its path.
    """
    if since == snapshot.version:
        return {"version": snapshot.version}
    new = {key: part.content for key, part in snapshot.parts.items() if part.version > since}
    runs: dict[str, dict[str, Any]] = {}
    for (path, _), content in new.items():
        if path:
            runs.setdefault(path, {}).update(content)
    found = {"version": snapshot.version, ORDER: snapshot.parts["", ORDER].content, "runs": runs}
    return found | ({PAGE: new["", PAGE]} if ("", PAGE) in new else {})


def whole_page(snapshot: Snapshot) -> dict[str, Any]:
    """The data of the page as `rnnexp.report.page.collect.collect` returns it."""
    found = changes(snapshot, -1)
    words: dict[str, Any] = found[PAGE]
    return words | {"runs": [found["runs"][path] for path in found[ORDER]]}


def share_of(runs: int) -> int:
    """How many runs are taken to share the page's budget: the next power of two.

    So a run that has ended is read again when their number doubles, not whenever one is added.
    """
    return 1 << max(0, runs - 1).bit_length()


def _records(directory: Path, before: Snapshot) -> tuple[list[Record], list[str]]:
    """The runs that there are, and a note where there are none yet or they are not up to date."""
    try:
        return records_of(directory, before.memory), []
    except (UsageError, OSError) as error:
        if (directory / "plan.jsonl").exists():  # perhaps its last line is being written
            kept = [reading.record for reading in before.readings.values()]
            return kept, [f"Not up to date: {error}"]
    what = "holds no runs yet" if directory.is_dir() else "does not exist yet"
    return [], [f"{directory} {what}. Runs appear here when they are started."]


def _read(named: Named, share: int, earlier: Reading | None) -> Reading:
    """A run, read if a file of it, its record or its share of the budget changed."""
    record = named.record
    stamp = _stamp(record.path)
    same = earlier is not None and (stamp, record, share) == (
        earlier.stamp, earlier.record, earlier.share,
    )  # fmt: skip
    if earlier is not None and same:
        return replace(earlier, data=earlier.data | naming(named))
    tail = read_on(Path(record.path), None if earlier is None else earlier.tail)
    thinned, notes = no_sizes(), list[str]()
    data = run_data(named, load_run(record.path, tail.rows), share, thinned, notes)
    kept = tail if record.status.startswith("running") else None
    return Reading(stamp, record, share, kept, data, thinned, notes)


def _stamp(run: str) -> Stamp:
    found = []
    for name in GROWING:
        try:
            state = os.stat(f"{run}/{name}")
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(found)


def _page(
    directory: Path, readings: Mapping[str, Reading], notes: list[str], which_wins: str
) -> dict[str, Any]:
    """The data of the page, of all readings."""
    thinned = no_sizes()
    for reading in readings.values():
        for part, sizes in reading.thinned.items():
            thinned[part] |= sizes
        notes = [*notes, *reading.notes]
    runs = [dict(reading.data) for reading in readings.values()]
    return page_data([directory], runs, thinned, notes, which_wins)


def _contents(page: dict[str, Any], readings: Mapping[str, Reading]) -> dict[tuple[str, str], Any]:
    """The content of every part."""
    runs = page.pop("runs")
    del page["made"]
    contents: dict[tuple[str, str], Any] = {("", PAGE): page, ("", ORDER): [*readings]}
    for path, data in zip(readings, runs, strict=True):
        small = {name: value for name, value in data.items() if name not in LARGE}
        contents[path, "facts"] = small
        contents |= {(path, name): {name: data[name]} for name in LARGE}
    return contents


def _versioned(
    contents: Mapping[tuple[str, str], Any], readings: Mapping[str, Reading], before: Snapshot
) -> Snapshot:
    """The snapshot of these contents; its version is the one before where all are the same."""
    parts, now = {}, before.version + 1
    for key, content in contents.items():
        old = before.parts.get(key)
        parts[key] = old if old is not None and old.content == content else Part(now, content)
    same = len(parts) == len(before.parts) and all(part.version < now for part in parts.values())
    return Snapshot(before.version if same else now, parts, readings, before.memory)
