"""The plan of a search, which grows: each trial that is a new run appends a line.

Several processes may append, each while it holds the lock of the sweep's directory
(`rnnexp.sweep.search.study.WorkerLock`).
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.core.errors import UsageError
from rnnexp.core.files import append_text
from rnnexp.run.sources import sources_reader
from rnnexp.run.trainer import FAILURES
from rnnexp.sweep.plan import PlannedRun, planned, write_plan
from rnnexp.sweep.program_groups import ProgramNames, program_digest, signature


class GrowingPlan:
    """The runs in `plan.jsonl` as far as it was read, and the programs of their groups.

    Args:
      facts: further content of `sweep.json`, if this process writes it.
    """

    def __init__(self, sweep_dir: Path, runs_dir: Path, data_dir: Path | None, **facts: Any):
        self.file = sweep_dir / "plan.jsonl"
        self.data_dir = data_dir
        self.sources_of = sources_reader(data_dir)
        self.names = ProgramNames(self._digest)
        self.listed: dict[str, PlannedRun] = {}
        self.groups: dict[str, int] = {}
        """Group numbers by the name of the program."""
        self._offset = 0
        if not (sweep_dir / "sweep.json").exists():
            write_plan(sweep_dir, [], runs_dir, **facts)
        self.file.touch()

    def add(self, config: FrozenConfigDict, changes: dict[str, Any]) -> PlannedRun:
        """The planned run of a configuration, appended to the file unless it is there."""
        self._read()
        sources = self.sources_of(config).digest
        run = planned(config, 0, changes, sources)
        if (found := self.listed.get(run.run)) is not None:
            return found
        group = self.groups.get(self.names.of(config), len(self.groups))
        run = replace(run, group=group)
        append_text(self.file, json.dumps(asdict(run)) + "\n")
        self._read()
        return run

    def _read(self) -> None:
        """Read what was appended since the last call; cut off the start of a line that a killed
        process left."""
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

    def _digest(self, config: FrozenConfigDict) -> str:
        """The digest of a program; a program that cannot be made gets a group of its own.

        What is wrong with it is recorded when its run is to start.
        """
        try:
            return program_digest(config, self.data_dir)
        except (UsageError, *FAILURES):
            return signature(config)
