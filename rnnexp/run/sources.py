"""The user's own files that a run is made of; their content is part of what the run is.

They are the code of its cell, head, task, optimiser, schedule and loss, with all that it imports
from outside installed packages, and the data files that this code opens. Another content makes
another run, in another directory. `sources.json` in a run's directory holds the hashes,
`sources/` copies of the code. A run of built-in parts has neither.

A file that `--import` names counts for the runs that have one of the parts that it adds; if it
adds none, it can only be meant to act on all runs, so it counts for all.
"""

import hashlib
import inspect
import json
import logging
import marshal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import FrozenConfigDict

from rnnexp.cells import CELLS
from rnnexp.config.choices import BY_KEY, names_in
from rnnexp.config.schema import flat, from_saved, options
from rnnexp.core.errors import UsageError
from rnnexp.core.files import file_sha256, replace_bytes, replace_text, to_json
from rnnexp.core.load_module import imported_files, loaded_files
from rnnexp.core.registry import Entry
from rnnexp.core.user_files import code_files, opened_files
from rnnexp.models.heads import HEADS
from rnnexp.run.files import read_json
from rnnexp.run.task_facts import FILE as TASK_FILE
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_task, cell_maker

log = logging.getLogger("rnnexp")
FILE, COPIES = "sources.json", "sources"


@dataclass(frozen=True)
class Sources:
    """The user's own files of a run.

    Attributes:
      code, data: by name the SHA-256 of each file.
      copies: by name the content of each file of code, to be copied into the run.
    """

    code: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of all names and contents; "" if there is no such file."""
        if not self.code and not self.data:
            return ""
        text = json.dumps([dict(self.code), dict(self.data)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: "Sources") -> list[str]:
        """What distinguishes the other's files from these: `mine.py has changed`."""
        old, new = {**self.code, **self.data}, {**other.code, **other.data}
        found = [f"{name} has changed" for name in old if name in new and new[name] != old[name]]
        found += [f"{name} is no longer used" for name in old if name not in new]
        return found + [f"{name} is new" for name in new if name not in old]


class Found(NamedTuple):
    """The sources of a run, and its task if that had to be built to find them."""

    sources: Sources
    task: Task | None = None


def find_sources(config: FrozenConfigDict, data_dir: Path | None = None) -> Found:
    """The user's own files of a configuration.

    Its task and its cell are built, and what they open is noted, unless both are built-in and
    name no data file of the user's.

    Raises `UsageError` if they cannot be built.
    """
    task_entry, cell_entry = TASKS.entry(config.task.name), CELLS.entry(config.cell.name)
    head_entry = HEADS.entry(config.head.name)
    chosen = [table.entry(flat(config)[key]) for key, table in BY_KEY.items()]
    own_task, own_cell = task_entry.user_code(), cell_entry.user_code()
    code = _find_code(task_entry, cell_entry, head_entry, *chosen)
    opened = {file for root in code.roots for file in loaded_files().get(root, ())}
    task = None
    if own_task or own_cell or _names_data(task_entry, config):
        jax.devices()  # what JAX reads when it starts is not the task's
        with opened_files() as by_task:
            task = build_task(config.task.name, data_dir, **options(config, "task"))
        if own_task or _names_data(task_entry, config):
            opened |= by_task
    if own_cell and task is not None:
        with opened_files() as by_cell:
            cell = cell_maker(config, task)(task.input_size, 0)
            jax.eval_shape(cell.init, jax.random.key(0))
        opened |= by_cell
    return Found(Sources(code.hashes, _data_hashes(opened), code.contents), task)


def _find_code(*entries: Entry) -> "_Code":
    """The user's own code of entries, and that which counts for all runs."""
    code = _Code()
    for entry in entries:
        for root in entry.user_code():
            code.add(root, entry)
    for root in _files_for_all_runs():
        code.add(root)
    return code


def sources_reader(data_dir: Path | None) -> Callable[[FrozenConfigDict], Sources]:
    """`find_sources` for many configurations; those of like parts are read once."""
    known: dict[str, Sources] = {}

    def sources_of(config: FrozenConfigDict) -> Sources:
        parts = [config.task.to_dict(), config.cell.to_dict(), config.head.name]
        key = json.dumps([*parts, *names_in(config).values()], sort_keys=True)
        if key not in known:
            known[key] = find_sources(config, data_dir).sources
        return known[key]

    return sources_of


def _names_data(entry: Entry, config: FrozenConfigDict) -> bool:
    """Whether an option of a task names a data file of the user's."""
    defaults = entry.options() if entry.data_options else {}
    return any(config.task[name] != defaults[name] for name in entry.data_options)


def _files_for_all_runs() -> list[Path]:
    """The files named by `--import` that registered nothing."""
    tables = (TASKS, CELLS, HEADS, *BY_KEY.values())
    entries = [table.entry(name) for table in tables for name in table.own_names()]
    registered = {entry.registered_by for entry in entries}
    return [file for file in imported_files() if file not in registered]


class _Code:
    """Collects files of code: their hashes and contents by name."""

    def __init__(self) -> None:
        self.roots: dict[Path, None] = {}
        self.hashes: dict[str, str] = {}
        self.contents: dict[str, bytes] = {}
        self._paths: dict[str, Path] = {}

    def add(self, root: Path, entry: Entry | None = None) -> None:
        """Add a file and what it imports; if it is no file, the code of the entry's factory."""
        if root in self.roots:
            return
        self.roots[root] = None
        if not root.is_file():
            if entry is not None:
                self._put(entry.factory().__name__, _typed_code(entry.factory()))
            return
        for name, file in code_files(root).items():
            if self._paths.setdefault(name, file) != file:
                name = f"{file.parent.name}/{name}"
                self._paths[name] = file
            self._put(name, file.read_bytes())

    def _put(self, name: str, content: bytes) -> None:
        self.contents[name] = content
        self.hashes[name] = hashlib.sha256(content).hexdigest()


def _typed_code(factory: Callable[..., Any]) -> bytes:
    """The source of a factory that was typed in, or if that is not kept, its bytecode."""
    function = inspect.unwrap(factory)
    try:
        return inspect.getsource(function).encode()
    except (OSError, TypeError):
        return marshal.dumps(function.__code__)


def _data_hashes(files: set[Path]) -> dict[str, str]:
    """By name the SHA-256 of data files; files of one name are numbered."""
    found: dict[str, str] = {}
    settings: Any = jax.config
    programs = settings.jax_compilation_cache_dir
    for file in sorted(files):
        if programs is not None and file.is_relative_to(Path(programs).absolute()):
            continue  # compiled while the task was built
        name, number = file.name, 1
        while name in found:
            number += 1
            name = f"{file.name} ({number})"
        try:
            found[name] = file_sha256(file)
        except OSError as error:
            raise UsageError(f"cannot read the data file {file}: {error.strerror}") from error
    return found


def write_sources(run: Path, sources: Sources) -> None:
    """Write `sources.json` and the copies of the code into a run's directory, if there are any."""
    if not sources.digest:
        return
    for name, content in sources.copies.items():
        target = run / COPIES / name.replace("../", "_")
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(target, content)
    facts = {"digest": sources.digest, "code": dict(sources.code), "data": dict(sources.data)}
    replace_text(run / FILE, to_json(facts, indent=2) + "\n")


def read_sources(run: Path) -> Sources:
    """What `write_sources` wrote; `UsageError` if it is damaged."""
    content = read_json(run / FILE)
    if content is None:
        return Sources()
    code, data = content.get("code"), content.get("data")
    if not isinstance(code, dict) or not isinstance(data, dict):
        raise UsageError(f"{run / FILE} is damaged: 'code' and 'data' must be objects")
    return Sources(code, data)


def require_same_code(run: Path, config: FrozenConfigDict) -> None:
    """`require_same` for the code of cell and head, without which their weights mean nothing."""
    cell = _find_code(CELLS.entry(config.cell.name), HEADS.entry(config.head.name))
    before = read_sources(run)
    known = {name: before.code[name] for name in cell.hashes if name in before.code}
    _require_same(run, Sources(known), Sources(cell.hashes))


def require_same(run: Path, sources: Sources) -> None:
    """Raise `UsageError`, naming what changed, unless a run was made with these sources."""
    _require_same(run, read_sources(run), sources)


def _require_same(run: Path, before: Sources, sources: Sources) -> None:
    if sources.digest and not (run / TASK_FILE).exists():
        log.warning("%s was made by a version that recorded no code or data: not compared", run)
        return
    if changes := before.differences(sources):
        kept = f"; the run's own code is in {run / COPIES}" if before.code else ""
        raise UsageError(f"{run} was made with other files: {', '.join(changes)}{kept}")


def name_earlier(path: Path, config: FrozenConfigDict, sources: Sources) -> None:
    """Log which earlier runs had the same configuration and other sources, and what changed."""
    if path.exists():
        return
    for earlier in sorted(path.parent.glob(f"*-seed{config.seed}")):
        try:
            same = from_saved(read_json(earlier / "config.json") or {}) == config
            changes = read_sources(earlier).differences(sources) if same else []
        except UsageError:
            continue
        if changes:
            log.info("%s since %s: this is another run", ", ".join(changes), earlier)
