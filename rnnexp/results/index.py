"""The summaries of all runs of a runs directory, with a cache that makes the next pass quick.

A pass reads the time and size of each run's `STAMPED` files, and reads only
the runs that are new or changed since `.index.json` was written. That file is only a cache.
It may be deleted at any time; a damaged one is made again; and if it cannot be written, every
pass reads every run.

Its first line has the format and the CRC-32 of the rest. The rest is one JSON object with
the configurations from which the others are given by their difference (`bases`) and a row for
each run (`runs`).

It is not an SQLite database. With a table of the same rows as text, a pass over 5,000 cached
runs took 0.28 s instead of 0.09 s, and the file 21 MB instead of 1 MB. SQLite keeps no checksums
and needs locks, which network file systems do not keep reliably; renaming a file needs none.
"""

import functools
import json
import logging
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text
from rnnexp.core.locks import try_lock
from rnnexp.results.summary import (
    Best,
    Record,
    as_shown,
    by_length,
    flatten,
    read_record,
    sources_key,
    with_later_keys,
)
from rnnexp.run.about import FILE as ABOUT
from rnnexp.run.about import about_of
from rnnexp.sweep.directory import is_run_name, runs_dir_of

log = logging.getLogger("rnnexp")
INDEX = ".index.json"
FORMAT = 4
WORTHWHILE = 100
"""The cache is written if at least this many runs had to be read; fewer are read quickly."""
SETTLED_NS = 2_000_000_000
"""A younger file may change again within the resolution of its time, so it is not cached."""

Stamp = tuple[int, ...]
"""Times (ns) and sizes (bytes) of a run's `STAMPED` files; 0 of those that are not there."""
STAMPED = ("status.json", "config.json", ABOUT)


@dataclass
class _Cache:
    """The content of `.index.json`: rows `[stamp, status fields, base, difference]` by run."""

    bases: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, list[Any]] = field(default_factory=dict)


def scan(runs_dir: Path) -> list[tuple[str, Stamp]]:
    """`TASK/CELL/RUN_ID` of all runs below `runs_dir` with their stamps, oldest first.

    A run is a directory three levels down with a `status.json`. Runs of equal age are
    ordered by name.
    """
    root = os.fspath(runs_dir)
    found = []
    for task in _folders(root):
        for cell in _folders(f"{root}/{task}"):
            for name in _folders(f"{root}/{task}/{cell}"):
                run = f"{task}/{cell}/{name}"
                if (stamp := _stamp(f"{root}/{run}")) is not None:
                    found.append((run, stamp))
    return sorted(found, key=lambda item: (item[1][0], item[0]))


Memory = dict[str, tuple[Stamp, Record]]
"""Records by directory with the stamps of their files, which one program keeps between passes."""


def read_index(
    runs_dir: Path, only: Iterable[str] | None = None, memory: Memory | None = None
) -> list[Record]:
    """The records of all runs below `runs_dir`, oldest first, or of those named in `only`.

    Args:
      only: `TASK/CELL/RUN_ID` of the wanted runs, whose order is kept; those without a
        `status.json` are left out. The time that this takes does not depend on the others.
      memory: in place of `.index.json`, which is then neither read nor written: what an earlier
        pass found. It is brought up to date.
    """
    root = os.fspath(runs_dir)
    if only is None:
        found = scan(runs_dir)
    else:
        stamps = ((run, _stamp(f"{root}/{run}")) for run in only)
        found = [(run, stamp) for run, stamp in stamps if stamp is not None]
    if memory is not None:
        return _remembered(root, found, memory)
    cache = _load(runs_dir)
    settled = time.time_ns() - SETTLED_NS
    records, fresh = [], []
    for run, stamp in found:
        row = cache.runs.get(run)
        if row is not None and row[0] == list(stamp):
            record: Record | None = _decode(cache, root, run, row)
        else:
            record = read_record(root, run, stamp[0])
            if record is not None and record.status != "damaged" and stamp[0] < settled:
                fresh.append((record, stamp))
        if record is not None:
            records.append(as_shown(record))
    if len(fresh) >= WORTHWHILE:
        if only is None:
            there = dict(found)
            cache.runs = {run: row for run, row in cache.runs.items() if run in there}
        _encode(cache, fresh)
        _save(runs_dir, cache)
    return records


def _remembered(root: str, found: Sequence[tuple[str, Stamp]], memory: Memory) -> list[Record]:
    """The records of runs with these stamps; those whose files changed are read."""
    settled, records = time.time_ns() - SETTLED_NS, []
    for run, stamp in found:
        path = f"{root}/{run}"
        before = memory.get(path)
        record = before[1] if before and before[0] == stamp else read_record(root, run, stamp[0])
        if record is None:
            continue
        if record.status != "damaged" and max(stamp) < settled:
            memory[path] = stamp, record
        else:
            memory.pop(path, None)
        records.append(as_shown(record))
    return records


def load_records(directory: Path, memory: Memory | None = None) -> list[Record]:
    """The runs of a sweep, in the order of its plan, or of a runs directory, oldest first.

    A sweep's directory has a `plan.jsonl`; its runs that have not begun are `waiting`, and
    all carry the keys that it sweeps. Raises `UsageError` if the directory is neither, or
    its files are damaged. `memory`: as of `read_index`.
    """
    if (directory / "plan.jsonl").exists():
        return _sweep_records(directory, memory)
    if records := read_index(directory, memory=memory):
        return records
    raise UsageError(
        f"{directory} holds no runs; expected a runs directory, or that of a sweep with its "
        "plan.jsonl"
    )


def _sweep_records(directory: Path, memory: Memory | None) -> list[Record]:
    root = runs_dir_of(directory)
    planned: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {}
    with (directory / "plan.jsonl").open() as stream:
        for number, line in enumerate(stream, 1):
            try:
                entry = json.loads(line)
                run, swept = str(entry["run"]), tuple(entry["changes"])
                if not is_run_name(run):
                    raise ValueError(f"a run is TASK/CELL/RUN_ID, not {run!r}")
                if run in planned:
                    log.warning("%s line %d: %s is planned twice", stream.name, number, run)
                keys = with_later_keys(flatten(entry["config"])) | sources_key(
                    entry.get("sources") or ""
                )
                planned[run] = keys, swept
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UsageError(f"{stream.name} line {number} is damaged: {error!r}") from error
    begun = {record.run: record for record in read_index(root, planned, memory)}
    records = []
    for run, (config, swept) in planned.items():
        record = begun.get(run) or Record(run, f"{root}/{run}", "waiting")
        known = config if record.status in ("waiting", "damaged") else record.keys
        records.append(replace(record, keys=known, swept=swept))
    return records


def _folders(path: str) -> list[str]:
    """Names of the directories in a directory; none if there is no such directory."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        say_once(f"cannot look into {path}: {error.strerror}; its runs are left out")
        return []


def _stamp(path: str) -> Stamp | None:
    """The stamp of a run's directory, or None if it has no `status.json`."""
    found: list[int] = []
    for name in STAMPED:
        try:
            state = os.stat(f"{path}/{name}")
        except OSError:
            found += (0, 0)
        else:
            found += (state.st_mtime_ns, state.st_size)
    return tuple(found) if found[0] else None


def _load(runs_dir: Path) -> _Cache:
    """The cache as it was written, or an empty one."""
    file = runs_dir / INDEX
    try:
        header, _, body = file.read_bytes().partition(b"\n")
        if json.loads(header) != {"format": FORMAT, "crc32": zlib.crc32(body)}:
            raise ValueError("its checksum or its format is another")
        return _Cache(**json.loads(body))
    except (FileNotFoundError, NotADirectoryError):
        return _Cache()
    except (OSError, ValueError) as error:
        say_once(f"cannot use {file} ({error}): every run is read anew")
        return _Cache()


def _save(runs_dir: Path, cache: _Cache) -> None:
    """Replace the file, unless another process is just doing so; its file is as good."""
    file = runs_dir / INDEX
    try:
        with _alone(runs_dir) as alone:
            if alone:
                body = json.dumps(vars(cache), separators=(",", ":"))
                header = {"format": FORMAT, "crc32": zlib.crc32(body.encode())}
                replace_text(file, f"{json.dumps(header)}\n{body}")
    except (OSError, UsageError) as error:
        reason = getattr(error, "strerror", None) or error
        say_once(f"cannot write {file} ({reason}): listing runs stays slow")


@contextmanager
def _alone(runs_dir: Path) -> Iterator[bool]:
    """Try to lock the directory itself; gives whether this process got the lock."""
    handle = os.open(runs_dir, os.O_RDONLY)
    try:
        yield try_lock(handle, runs_dir, needed=True)
    finally:
        os.close(handle)


def _decode(cache: _Cache, root: str, run: str, row: list[Any]) -> Record:
    stamp, status, step, reason, test, best, base, difference, lengths, about = row
    return Record(
        run, f"{root}/{run}", status, step, reason, test, None if best is None else Best(*best),
        cache.bases[base] | difference, stamp[0], by_length=by_length({"by_length": lengths}),
        about=about_of(about),
    )  # fmt: skip


def _encode(cache: _Cache, fresh: list[tuple[Record, Stamp]]) -> None:
    """Add rows. Configurations with the same keys are stored as differences from the first."""
    bases = {tuple(base): number for number, base in enumerate(cache.bases)}
    for record, stamp in fresh:
        config, keys = record.keys, tuple(record.keys)
        if keys not in bases:
            bases[keys] = len(cache.bases)
            cache.bases.append(config)
        base = cache.bases[bases[keys]]
        difference = {key: value for key, value in config.items() if not _same(value, base[key])}
        cache.runs[record.run] = [
            stamp, record.status, record.step, record.reason, record.test, record.best,
            bases[keys], difference, record.by_length and record.by_length._asdict(),
            record.about._asdict() if any(record.about) else {},
        ]  # fmt: skip


def _same(one: Any, two: Any) -> bool:
    """Whether two values are the same in JSON; 1, 1.0 and True are not."""
    return one is two or (type(one) is type(two) and not isinstance(one, list) and one == two)


@functools.cache
def say_once(text: str) -> None:
    """Warn once, however many passes a program makes."""
    log.warning("%s", text)
