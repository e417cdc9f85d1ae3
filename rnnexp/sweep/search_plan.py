"""The plan of a search, which grows: one line is appended for every trial that is a new run.

Several processes may append, each under the lock of the sweep's directory.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.sweep.groups import signature
from rnnexp.sweep.plan import PlannedRun, planned, write_plan


class GrowingPlan:
    """The runs that `plan.jsonl` lists, as far as it was read, and the numbers of their groups."""

    def __init__(self, sweep_dir: Path, runs_dir: Path, **facts: Any):
        self.file = sweep_dir / "plan.jsonl"
        self.listed: dict[str, PlannedRun] = {}
        self.groups: dict[str, int] = {}
        self._offset = 0
        if not (sweep_dir / "sweep.json").exists() or not self.file.exists():
            write_plan(sweep_dir, [], runs_dir, **facts)

    def add(self, config: FrozenConfigDict, changes: dict[str, Any]) -> PlannedRun:
        """The planned run of a configuration, appended to the file unless it is there."""
        self._read()
        run = planned(config, 0, changes)
        if (found := self.listed.get(run.run)) is not None:
            return found
        group = self.groups.get(signature(config), len(self.groups))
        run = planned(config, group, changes)
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
            self.groups.setdefault(signature(FrozenConfigDict(run.config)), run.group)
