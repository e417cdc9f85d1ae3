"""One run from its start, or from its last checkpoint, to its end.

The host's part: it asks for chunks of steps, logs what they report, evaluates,
checkpoints, and turns what ends a run into a status.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp import environment
from rnnexp.arraylog import GradientLog
from rnnexp.checkpoint import Checkpoints, Progress
from rnnexp.errors import RunError, first_line
from rnnexp.outcome import Observer, Result, read_result, run_path
from rnnexp.programs import Programs
from rnnexp.registry import Plan, make_plan
from rnnexp.runlog import ENDED, RunLog, read_json
from rnnexp.signals import StopRequest
from rnnexp.train import Records
from rnnexp.trees import tree_size
from rnnexp.verdict import divergence_verdict

log = logging.getLogger("rnnexp")
CHUNK_STEPS = 100
VISIT_S = 0.5  # how long a chunk may take before the host looks again


def run(
    config: FrozenConfigDict,
    *,
    runs_dir: Path,
    data_dir: Path | None = None,
    imported: Sequence[Path] = (),
    observer: Observer | None = None,
) -> Result:
    """Train until the configured end, a divergence, or a signal; resume if there is a
    checkpoint; return at once if the run has ended already.

    Args:
      config: from `finish` or `from_command_line`.
      imported: the user's own files that define cells or tasks, for the record.

    Raises:
      UsageError: the configuration, the data or the directory cannot be used.
      RunError: storage or the device failed in mid-run; the same call resumes.
    """
    path = run_path(config, runs_dir)
    if (ended := read_result(path)) is not None and ended.status in ENDED:
        return ended
    plan = make_plan(config, data_dir=data_dir, chunk_steps=CHUNK_STEPS)
    files = RunLog(path)
    try:
        return _Run(plan, files, observer or Observer()).run(imported)
    finally:
        files.close()


class _Run:
    """A run in progress: its training state and the files that follow it."""

    def __init__(self, plan: Plan, files: RunLog, observer: Observer):
        self.plan, self.files, self.observer = plan, files, observer
        self.task = plan.recipe.task
        self.units = plan.units
        names = [unit.name for unit in self.units]
        self.gradients = GradientLog(files.path / "gradients.zarr", names)
        self.progress = Progress()

    def run(self, imported: Sequence[Path]) -> Result:
        """From wherever the directory's checkpoints stand to the end."""
        try:
            self.files.write_json("config.json", self.plan.config.to_dict())
            self.checkpoints = Checkpoints(self.files.path / "checkpoints")
            with StopRequest() as stop:
                self._start(imported)
                self._train(stop)
                return self._conclude(stop)
        except (OSError, RunError, jax.errors.JaxRuntimeError) as error:
            step, reason = self.progress.step, first_line(error)
            self._fail(step, reason)
            raise RunError(
                f"run {self.files.path} failed after step {step}: {reason}. Its checkpoints "
                "are kept; the same command resumes."
            ) from error
        except BaseException as error:
            self._fail(self.progress.step, f"{type(error).__name__}: {error}")
            raise

    def _fail(self, step: int, reason: str) -> None:
        try:
            self.files.set_status("failed", step, reason)
        except OSError as error:  # what fills a disk also keeps this from being written
            log.warning("cannot write status.json: %s", error)

    def _start(self, imported: Sequence[Path]) -> None:
        """Restore the last checkpoint, or begin, and make the files agree with it."""
        self.programs = Programs(self.plan)
        fresh = self.programs.initial()
        restored = self.checkpoints.restore("last", fresh)
        self.state, self.progress = restored or (fresh, Progress())
        step = self.progress.step
        self.gradients.truncate(step)
        self.files.truncate(None if restored is None else step)
        here = environment.describe(imported)
        if restored is None:
            self.files.write_json("environment.json", here)
            self.files.log("baseline", [{"step": 0, **self.task.baseline}])
            if self.task.references:
                self.files.log("reference", [{"step": 0, **self.task.references}])
        else:
            self._warn_of_changes(here)
        self.files.set_status("running", step, "")
        log.info("%s parameters", f"{tree_size(self.plan.params):,}")
        if (left_out := self.plan.left_out_examples) > 0:
            log.info("%d examples do not fill a batch and are left out of each epoch", left_out)
        if text := self.plan.buckets_text:
            log.info("%s", text)
        self.observer.started(self.files.path, step, self.plan.total_steps)
        self.observer.compared({**self.task.baseline, **self.task.references})

    def _warn_of_changes(self, here: dict[str, Any]) -> None:
        """Say so if the run goes on elsewhere than it began."""
        before = read_json(self.files.path / "environment.json") or {}
        for name in ("python", "packages", "device", "imported"):
            if before.get(name) != here[name]:
                log.warning(
                    "%s changed since the run began (%s, now %s): its results may differ in "
                    "the last digits from an uninterrupted run's",
                    name, before.get(name), here[name],
                )  # fmt: skip

    def _train(self, stop: StopRequest) -> None:
        """Chunks of steps, with evaluations and checkpoints where they are due."""
        plan, pace, visits = self.plan, 1, 0
        while not self._ended() and stop.name is None:
            began, first = time.monotonic(), self.progress.step
            self._advance(min(self._next_boundary(), first + pace))
            step = self.progress.step
            seconds_a_step = (time.monotonic() - began) / max(1, step - first)
            if visits > 0:  # the first visit compiled
                pace = min(CHUNK_STEPS, max(1, int(VISIT_S / seconds_a_step)))
            visits += 1
            if self.diverged:
                return
            if step % plan.eval_steps == 0 or step == plan.total_steps:
                self._evaluate()
            if step % plan.checkpoint_steps == 0:
                self._save_last()

    def _ended(self) -> bool:
        patience = self.plan.config.early_stopping.patience
        stale = 0 < patience <= self.progress.stale_evaluations
        return self.progress.step >= self.plan.total_steps or stale or self.diverged

    @property
    def diverged(self) -> bool:
        """Whether the last step that was tried had a non-finite loss or gradient."""
        return bool(self.state.diverged)

    def _next_boundary(self) -> int:
        """The next step at which the host has something to do, or an epoch ends."""
        plan, step = self.plan, self.progress.step
        periods = [plan.eval_steps, plan.checkpoint_steps, plan.epoch_steps or plan.total_steps]
        return min(plan.total_steps, *((step // period + 1) * period for period in periods))

    def _advance(self, stop: int) -> None:
        """Steps up to `stop` (or a divergence), and their records to the files."""
        self.state, records = self.programs.advance(self.state, stop, self.plan.record_steps)
        rows = self._log_records(records)
        self.progress = replace(self.progress, step=int(self.state.step))
        self.observer.advanced(self.progress.step, rows[-1] if rows else None)

    def _log_records(self, records: Records) -> list[dict[str, Any]]:
        """Write the recorded steps of a chunk; returns the rows of `metrics.jsonl`."""
        rows = []
        for index in np.flatnonzero(records.recorded):
            scalars = {name: values[index].item() for name, values in records.scalars.items()}
            rows.append({"step": int(records.step[index]), **scalars})
            norms = {leaf: np.asarray(values[index]) for leaf, values in records.norms.items()}
            self.gradients.append(rows[-1]["step"], norms)
        if rows:
            self.files.log("train", rows)
        return rows

    def _evaluate(self) -> None:
        """Validation; the best checkpoint so far is kept."""
        scores = self.programs.scores("valid", self.state)
        step, value = self.progress.step, scores[self.task.headline]
        self.files.log("valid", [{"step": step, **scores}])
        self.observer.evaluated("valid", step, scores)
        best = self.progress.best_value
        sign = 1 if self.task.higher_is_better else -1
        if best is None or sign * value > sign * best:
            self.progress = Progress(step, value, step, 0)
            self.checkpoints.save("best", self.state, self.progress)
        else:
            stale = self.progress.stale_evaluations + 1
            self.progress = replace(self.progress, stale_evaluations=stale)

    def _save_last(self) -> None:
        self.gradients.flush()
        self.checkpoints.save("last", self.state, self.progress)

    def _conclude(self, stop: StopRequest) -> Result:
        """Checkpoint, test if the run is through, and write the final status."""
        step = self.progress.step
        if self.diverged:
            return self._conclude_divergence()
        self._save_last()
        if not self._ended():
            return self._finish("interrupted", f"{stop.name}; the same command resumes")
        best = self.checkpoints.restore("best", self.state)
        tested, at = (self.state, step) if best is None else (best[0], best[1].step)
        scores = self.programs.scores("test", tested)
        self.files.log("test", [{"step": at, **scores}])
        self.observer.evaluated("test", at, scores)
        early = "" if step >= self.plan.total_steps else f"early stopping after step {step}"
        return self._finish("completed", early, test=scores, test_step=at)

    def _conclude_divergence(self) -> Result:
        """Say where the gradient left the finite range, from a recorded replay if need be."""
        records = self.programs.replay(self.state)
        step = self.progress.step
        if step % self.plan.record_steps != 0:
            self._log_records(records)
        self._save_last()
        reason, details = divergence_verdict(records, self.units)
        return self._finish("diverged", reason, divergence=details)

    def _finish(self, status: str, reason: str, **details: Any) -> Result:
        step = self.progress.step
        self.checkpoints.close()
        self.files.set_status(status, step, reason, **details)
        return Result(self.files.path, status, step, reason, details)
