"""The trials of a search: asked of Optuna's study, pruned, and told to it when their runs end.

| run | Optuna's trial |
| --- | --- |
| `completed` | COMPLETE, with the best validation score |
| `pruned` | PRUNED |
| `diverged`, or its best validation score is NaN | PRUNED |
| `failed` | FAIL |
| `interrupted`, or its process was killed | RUNNING, until it is resumed as the same trial |

A diverged run says something about its setting, so the sampler must learn from it. Optuna's
samplers ignore FAIL and would suggest similar settings again, and an invented worst score would
enter the study as if it were measured. PRUNED needs no score, and TPE ranks it behind all
completed trials.

Every trial has the user attributes `searcher` (the name of its process), `run` and `values`, and
at its end `outcome`. Two trials with the same values share one run, and the later trial gets the
result of the earlier one.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.core.errors import UsageError, first_line
from rnnexp.run.callbacks import RunResult, read_result
from rnnexp.run.files import ENDED, read_metrics
from rnnexp.sweep.plan import PlannedRun
from rnnexp.sweep.search.growing_plan import GrowingPlan
from rnnexp.sweep.search.spec import SearchSpec, import_optuna
from rnnexp.sweep.search.study import WorkerLock, storage_errors

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

log = logging.getLogger("rnnexp")


class Trials:
    """The trials that this process trains, and the study to which they belong.

    All public methods raise `RunError` if the study's storage fails.

    Args:
      trial_id: gives the storage's identifier of the trial with a number.
    """

    def __init__(
        self,
        study: "Study",
        lock: WorkerLock,
        plan: GrowingPlan,
        spec: SearchSpec,
        *,
        runs_dir: Path,
        trial_id: Callable[[int], int],
    ):
        self.study, self.lock, self.plan, self.spec = study, lock, plan, spec
        self.runs_dir, self.trial_id = runs_dir, trial_id
        self.states: Any = import_optuna().trial.TrialState
        self.mine: dict[str, Trial] = {}
        """The trials whose runs wait or train in this process, by run."""
        self.steps: dict[str, set[int]] = {}
        """The steps whose validation score was reported already, by run."""
        self.stops: dict[str, str] = {}
        """Why runs are to be pruned, by run; stored in the study before a run is stopped."""

    def next_run(self) -> PlannedRun | None:
        """A run to train, of a dead process's trial or of a new one; None if none is left.

        Trials that need no training end at once.
        """
        with storage_errors(), self.lock.exclusive():
            while (trial := self._orphan() or self._ask()) is not None:
                try:
                    run = self._begin(trial)
                except UsageError as error:
                    log.warning("trial %d failed: %s", trial.number, error)
                    reason = first_line(error)
                    self._tell(trial, RunResult(self.runs_dir, "failed", 0, reason))
                else:
                    if run is not None:
                        return run
        return None

    def _orphan(self) -> "Trial | None":
        """A trial that a dead process left, taken over by this one."""
        running = self.study.get_trials(deepcopy=False, states=(self.states.RUNNING,))
        for frozen in running:
            name = frozen.user_attrs.get("searcher", self.lock.name)
            if name != self.lock.name and self.lock.is_dead(name):
                trial = self._attach(frozen)
                trial.set_user_attr("searcher", self.lock.name)
                log.info("trial %d goes on: its process is gone", frozen.number)
                if sum(other.user_attrs.get("searcher") == name for other in running) == 1:
                    self.lock.forget(name)
                return trial
        return None

    def _ask(self) -> "Trial | None":
        """A new trial, or one that the user has enqueued; None if all trials are taken.

        A new trial is enqueued with the name of this process, so that it carries the name even
        if the process dies at once. A process in another directory may ask at the same moment.
        The trial that exceeds the number of trials, the one with the higher number, is given up.
        """
        trials = self.study.get_trials(deepcopy=False)
        if sum(map(self._counts, trials)) >= self.spec.settings.trials:
            return None
        if not any(trial.state == self.states.WAITING for trial in trials):
            self.study.enqueue_trial({}, user_attrs={"searcher": self.lock.name})
        trial = self.study.ask()
        if trial.user_attrs.get("searcher") != self.lock.name:
            trial.set_user_attr("searcher", self.lock.name)
        trials = self.study.get_trials(deepcopy=False)
        earlier = sum(t.number < trial.number and self._counts(t) for t in trials)
        if earlier >= self.spec.settings.trials:
            trial.set_user_attr("surplus", True)
            self.study.tell(trial, state=self.states.FAIL)
            return None
        return trial

    def _counts(self, trial: "FrozenTrial") -> bool:
        """Whether a trial counts towards the number of trials."""
        return trial.state != self.states.WAITING and not trial.user_attrs.get("surplus", False)

    def _begin(self, trial: "Trial") -> PlannedRun | None:
        """Choose a trial's values; returns its run, or None if the trial has ended without one."""
        self.study.sampler = self.spec.sampler(trial.number)
        point = self.spec.point(self.spec.choose(trial))
        run = self.plan.add(point.config, point.changes)
        trial.set_user_attr("values", point.changes)
        trial.set_user_attr("run", run.run)
        if (earlier := self._earlier(run.run, trial.number)) is not None:
            self._repeat(trial, earlier)
            return None
        self._report_known(trial, run.run)
        if reason := trial.user_attrs.get("stop"):
            self.stops[run.run] = reason
        result = read_result(self.runs_dir / run.run)
        # another search may have pruned the run; this one has not decided yet
        if result is not None and result.status in ENDED:
            if result.status != "pruned" or reason:
                self._tell(trial, result)
                return None
            log.info("%s was pruned by another search and goes on", run.run)
        self.mine[run.run] = trial
        return run

    def _earlier(self, run: str, number: int) -> "FrozenTrial | None":
        """The first trial of the same run, if it is not this one."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number < number and trial.user_attrs.get("run") == run:
                return trial
        return None

    def _repeat(self, trial: "Trial", earlier: "FrozenTrial") -> None:
        """Give a trial the result of an earlier one of the same run, now or when that ends."""
        trial.set_user_attr("repeats", earlier.number)
        log.info("trial %d repeats trial %d: it is not run again", trial.number, earlier.number)
        if earlier.state.is_finished():
            self._tell_again(trial, earlier)
        else:
            trial.set_user_attr("searcher", earlier.user_attrs.get("searcher"))

    def _tell_again(self, trial: "Trial", earlier: "FrozenTrial") -> None:
        """Copy the reported scores and the result of an earlier trial."""
        for step, value in earlier.intermediate_values.items():
            trial.report(value, step)
        trial.set_user_attr("outcome", earlier.user_attrs.get("outcome"))
        completed = earlier.state == self.states.COMPLETE
        self.study.tell(trial, earlier.value if completed else None, earlier.state)

    def _report_known(self, trial: "Trial", run: str) -> None:
        """Report the validations that a run's directory holds, whichever trial made them."""
        frozen = self._frozen(trial.number)
        reported = self.steps[run] = set(frozen.intermediate_values)
        for row in read_metrics(self.runs_dir / run):
            if row["kind"] == "valid" and row["step"] not in reported:
                reported.add(row["step"])
                trial.report(float(row[self.spec.objective.metric]), row["step"])

    def should_prune(self, run: str, step: int, value: float, *, last: bool) -> str | None:
        """Report a validation of a run; returns why the run must stop, or None.

        After the `last` validation of a run there is nothing left to prune.
        """
        trial = self.mine[run]
        with storage_errors(), self.lock.exclusive():
            if self._frozen(trial.number).state.is_finished():
                return f"trial {trial.number} was ended from outside"
            if step not in self.steps[run]:
                self.steps[run].add(step)
                trial.report(value, step)
            if last or self.spec.settings.pruner == "none":
                return None
            if run not in self.stops and trial.should_prune():
                where = f"by {self.spec.settings.pruner} after step {step}"
                self.stops[run] = f"{where}: validation {self.spec.objective.metric} {value:.6g}"
                trial.set_user_attr("stop", self.stops[run])
        return self.stops.get(run)

    def on_run_end(self, run: str, result: RunResult) -> None:
        """Give a run's result to its trial and to the trials that repeat it.

        An interrupted run's trial stays open.
        """
        self.mine.pop(run)
        if result.status == "interrupted":
            return
        with storage_errors(), self.lock.exclusive():
            running = self.study.get_trials(deepcopy=False, states=(self.states.RUNNING,))
            same = [trial for trial in running if trial.user_attrs.get("run") == run]
            for trial in same[:1]:
                self._tell(self._attach(trial), result)
            for trial in same[1:]:
                self._tell_again(self._attach(trial), self._frozen(same[0].number))

    def _tell(self, trial: "Trial", result: RunResult) -> None:
        """Tell the study how a trial's run ended; the table above says with which state."""
        outcome = {"status": result.status, "reason": result.reason, "step": result.step}
        outcome["test"] = result.details.get("test")
        trial.set_user_attr("outcome", outcome)
        if result.status == "failed":
            self.study.tell(trial, state=self.states.FAIL)
            return
        best = float(result.details.get("best", {}).get("value", math.nan))
        if result.status == "completed" and not math.isnan(best):
            self.study.tell(trial, best)
        else:
            self.study.tell(trial, state=self.states.PRUNED)

    def all(self) -> "Sequence[FrozenTrial]":
        """All trials of the study, except those that were given up as surplus."""
        with storage_errors(), self.lock.exclusive():
            trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if not trial.user_attrs.get("surplus", False)]

    def has_running(self) -> bool:
        """Whether open trials carry the name of this process."""
        running = [trial for trial in self.all() if trial.state == self.states.RUNNING]
        return any(t.user_attrs.get("searcher") == self.lock.name for t in running)

    def _frozen(self, number: int) -> "FrozenTrial":
        return self.study.get_trials(deepcopy=False)[number]

    def _attach(self, frozen: "FrozenTrial") -> "Trial":
        """The trial as one whose scores and result can be written."""
        from optuna.trial import Trial

        return Trial(self.study, self.trial_id(frozen.number))
