"""The plan of a search, which grows: one line is appended for every trial that is a new run.

Several processes may append, each under the lock of the sweep's directory.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.core.errors import UsageError
from rnnexp.run.trainer import FAILURES
from rnnexp.sweep.plan import PlannedRun, planned, write_plan
from rnnexp.sweep.program_groups import family_of, program_digest, signature


class GrowingPlan:
    """The runs that `plan.jsonl` lists, as far as it was read, and their groups' programs."""

    def __init__(self, sweep_dir: Path, runs_dir: Path, data_dir: Path | None, **facts: Any):
        self.file = sweep_dir / "plan.jsonl"
        self.names = ProgramNames(data_dir)
        self.listed: dict[str, PlannedRun] = {}
        self.groups: dict[str, int] = {}
        self._offset = 0
        if not (sweep_dir / "sweep.json").exists():
            write_plan(sweep_dir, [], runs_dir, **facts)
        self.file.touch()

    def add(self, config: FrozenConfigDict, changes: dict[str, Any]) -> PlannedRun:
        """The planned run of a configuration, appended to the file unless it is there."""
        self._read()
        run = planned(config, 0, changes)
        if (found := self.listed.get(run.run)) is not None:
            return found
        run = planned(config, self.groups.get(self.names.of(config), len(self.groups)), changes)
        with self.file.open("a") as stream:
            stream.write(json.dumps(asdict(run)) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._read()
        return run

    def _read(self) -> None:
        """Take up what was appended since; a line that a killed process began is cut off."""
        with self.file.open("rb+") as stream:
            stream.seek(self._offset)
            content = stream.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._offset += len(whole)
            if len(whole) < len(content):
                stream.truncate(self._offset)
        for line in whole.splitlines():
            run = PlannedRun(**json.loads(line))
            self.listed[run.run] = run
            if run.group not in self.groups.values():
                self.groups[self.names.of(FrozenConfigDict(run.config))] = run.group


class ProgramNames:
    """Which configurations share a program, found out as they come.

    As `rnnexp.sweep.program_groups.group_runs` does, texts of programs are compared only where
    configurations differ in nothing but options of their cell.
    """

    def __init__(self, data_dir: Path | None):
        self.data_dir = data_dir
        self.names: dict[str, str] = {}
        self.first: dict[str, FrozenConfigDict] = {}
        """Of every family the configuration that came first, until a second one comes."""
        self.digests: dict[tuple[str, str], str] = {}

    def of(self, config: FrozenConfigDict) -> str:
        """The name of a configuration's program."""
        name = signature(config)
        if name not in self.names:
            self.names[name] = self._find(name, config)
        return self.names[name]

    def _find(self, name: str, config: FrozenConfigDict) -> str:
        family = family_of(name)
        if family not in self.first:
            self.first[family] = config
            return name
        try:
            first = self.first[family]
            if not any(known == family for known, _ in self.digests):
                digest = program_digest(first, self.data_dir)
                self.digests[family, digest] = signature(first)
            digest = program_digest(config, self.data_dir)
        except (UsageError, *FAILURES):
            return name  # what is wrong with it is recorded when it is to begin
        return self.digests.setdefault((family, digest), name)
