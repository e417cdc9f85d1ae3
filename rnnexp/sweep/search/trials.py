"""The trials of a search: asked of Optuna, judged on the way, and told how they ended.

| the run | Optuna's trial |
| --- | --- |
| `completed` | COMPLETE, with the best validation value |
| `pruned` | PRUNED |
| `diverged`, or its best validation value is NaN | PRUNED |
| `failed` | FAIL |
| `interrupted`, or its process was killed | RUNNING, until it is resumed as the same trial |

A diverged run is a finding about its setting, so the sampler has to learn from it. Optuna's
samplers leave FAIL out of account and would propose the like again. An invented worst value
would enter the study as if it was measured. PRUNED is what TPE ranks behind all that
completed, and it needs no value.

Every trial has the user attributes `searcher` (the process that has it), `run` and `values`,
and at its end `outcome`. Two trials with the same values are one run: the later one is told
what the earlier one is told.
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
from rnnexp.sweep.search.outline import Outline
from rnnexp.sweep.search.space import import_optuna
from rnnexp.sweep.search.study import Seat, storage_errors

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

log = logging.getLogger("rnnexp")


class Trials:
    """The trials that this process has, and the study that they belong to.

    Args:
      trial_id: what the storage calls the trial with a number.
    """

    def __init__(
        self,
        study: "Study",
        seat: Seat,
        plan: GrowingPlan,
        outline: Outline,
        *,
        runs_dir: Path,
        trial_id: Callable[[int], int],
    ):
        self.study, self.seat, self.plan, self.outline = study, seat, plan, outline
        self.runs_dir, self.trial_id = runs_dir, trial_id
        self.states: Any = import_optuna().trial.TrialState
        self.mine: dict[str, Trial] = {}
        """The trials whose runs wait or train here, by run."""
        self.steps: dict[str, set[int]] = {}
        """The steps of which a validation value was reported already."""
        self.stops: dict[str, str] = {}
        """Why a run is to be pruned; kept in the study before the run hears of it."""

    def next(self) -> PlannedRun | None:
        """A run to train: of a trial whose process died, or of a new one; None: all are given out.

        Trials that need no training are told at once.
        """
        with storage_errors(), self.seat.alone():
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
        """Take over a trial that a dead process left."""
        running = self.study.get_trials(deepcopy=False, states=(self.states.RUNNING,))
        for frozen in running:
            name = frozen.user_attrs.get("searcher", self.seat.name)
            if name != self.seat.name and self.seat.is_dead(name):
                trial = self._attach(frozen)
                trial.set_user_attr("searcher", self.seat.name)
                log.info("trial %d goes on: its process is gone", frozen.number)
                if sum(other.user_attrs.get("searcher") == name for other in running) == 1:
                    self.seat.forget(name)
                return trial
        return None

    def _ask(self) -> "Trial | None":
        """A new trial, or one that the user has queued; None if the budget is spent.

        It is queued with the name of this process, so that it has one however soon it dies.
        A process in another directory may have asked in the same moment; of two trials
        for one place, the one with the higher number is given up.
        """
        trials = self.study.get_trials(deepcopy=False)
        if sum(map(self._counts, trials)) >= self.outline.budget:
            return None
        if not any(trial.state == self.states.WAITING for trial in trials):
            self.study.enqueue_trial({}, user_attrs={"searcher": self.seat.name})
        trial = self.study.ask()
        if trial.user_attrs.get("searcher") != self.seat.name:
            trial.set_user_attr("searcher", self.seat.name)
        trials = self.study.get_trials(deepcopy=False)
        if sum(t.number < trial.number and self._counts(t) for t in trials) >= self.outline.budget:
            trial.set_user_attr("surplus", True)
            self.study.tell(trial, state=self.states.FAIL)
            return None
        return trial

    def _counts(self, trial: "FrozenTrial") -> bool:
        """Whether a trial takes a place of the budget."""
        return trial.state != self.states.WAITING and not trial.user_attrs.get("surplus", False)

    def _begin(self, trial: "Trial") -> PlannedRun | None:
        """Choose a trial's values; None if it needs no training, and is told."""
        self.study.sampler = self.outline.sampler(trial.number)
        point = self.outline.make(self.outline.choose(trial))
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
        # another search may have pruned it; whether this one does is still open
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
        """Tell a trial what an earlier one of the same run was told, now or when it ends."""
        trial.set_user_attr("repeats", earlier.number)
        log.info("trial %d repeats trial %d: it is not run again", trial.number, earlier.number)
        if earlier.state.is_finished():
            self._tell_again(trial, earlier)
        else:
            trial.set_user_attr("searcher", earlier.user_attrs.get("searcher"))

    def _tell_again(self, trial: "Trial", earlier: "FrozenTrial") -> None:
        """Copy the reports and the end of an earlier trial."""
        for step, value in earlier.intermediate_values.items():
            trial.report(value, step)
        trial.set_user_attr("outcome", earlier.user_attrs.get("outcome"))
        completed = earlier.state == self.states.COMPLETE
        self.study.tell(trial, earlier.value if completed else None, earlier.state)

    def _report_known(self, trial: "Trial", run: str) -> None:
        """Report the validations that a run's directory has, of this trial or from elsewhere."""
        frozen = self._frozen(trial.number)
        reported = self.steps[run] = set(frozen.intermediate_values)
        for row in read_metrics(self.runs_dir / run):
            if row["kind"] == "valid" and row["step"] not in reported:
                reported.add(row["step"])
                trial.report(float(row[self.outline.goal.metric]), row["step"])

    def judge(self, run: str, step: int, value: float, *, last: bool) -> str | None:
        """Report a validation of a run; why the run is to be pruned, or None."""
        trial = self.mine[run]
        with storage_errors(), self.seat.alone():
            if self._frozen(trial.number).state.is_finished():
                return f"trial {trial.number} was ended from outside"
            if step not in self.steps[run]:
                self.steps[run].add(step)
                trial.report(value, step)
            if last or self.outline.pruner_name == "none":
                return None
            if run not in self.stops and trial.should_prune():
                where = f"by {self.outline.pruner_name} after step {step}"
                self.stops[run] = f"{where}: validation {self.outline.goal.metric} {value:.6g}"
                trial.set_user_attr("stop", self.stops[run])
        return self.stops.get(run)

    def ended(self, run: str, result: RunResult) -> None:
        """Tell how a run ended, to its trial and to those that repeat it."""
        self.mine.pop(run)
        if result.status == "interrupted":
            return
        with storage_errors(), self.seat.alone():
            running = self.study.get_trials(deepcopy=False, states=(self.states.RUNNING,))
            same = [trial for trial in running if trial.user_attrs.get("run") == run]
            for trial in same[:1]:
                self._tell(self._attach(trial), result)
            for trial in same[1:]:
                self._tell_again(self._attach(trial), self._frozen(same[0].number))

    def _tell(self, trial: "Trial", result: RunResult) -> None:
        """Tell a trial how its run ended; the table of the module says what Optuna makes of it."""
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
        """All trials of the study, but those that were given up as surplus."""
        with storage_errors(), self.seat.alone():
            trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if not trial.user_attrs.get("surplus", False)]

    def has_running(self) -> bool:
        """Whether trials that are not told bear the name of this process."""
        running = [trial for trial in self.all() if trial.state == self.states.RUNNING]
        return any(t.user_attrs.get("searcher") == self.seat.name for t in running)

    def _frozen(self, number: int) -> "FrozenTrial":
        return self.study.get_trials(deepcopy=False)[number]

    def _attach(self, frozen: "FrozenTrial") -> "Trial":
        """The trial as one that can be reported, judged and told."""
        from optuna.trial import Trial

        return Trial(self.study, self.trial_id(frozen.number))
