"""Searches: what is proposed, pruned, resumed and shared, on runs of a few steps."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from rnnexp.errors import RunError, UsageError
from rnnexp.outcome import Result
from rnnexp.report.index import load_records
from rnnexp.report.load import load_run
from rnnexp.sweep.axes import Space, parse_space
from rnnexp.sweep.base import Base, read_base
from rnnexp.sweep.plan import read_plan
from rnnexp.sweep.search import search
from rnnexp.sweep.search_found import Found
from rnnexp.sweep.search_outline import make_outline
from rnnexp.sweep.search_plan import GrowingPlan
from rnnexp.sweep.search_queue import Searcher
from rnnexp.sweep.search_space import Goal, choose, import_optuna, make_pruner, make_sampler
from rnnexp.sweep.search_study import Seat, close_storage, open_storage, open_study
from rnnexp.sweep.search_trials import Trials
from rnnexp.sweep.space import point

optuna: Any = import_optuna()
STEPS, EVERY, TRIALS = 20, 5, 6
TINY = {
    "task.length_steps": 8,
    "cell.hidden_size": 4,
    "train.batch_size": 4,
    "train.duration_steps": STEPS,
    "eval.every_steps": EVERY,
    "eval.examples": 16,
    "eval.batch_size": 16,
    "checkpoint.every_steps": 10,
    "record.every_steps": 5,
}
AXES = ["optimizer.learning_rate=log:1e-4..1e-1"]
PROGRAMS = [*AXES, "cell.activation=tanh,relu"]


def tiny(**changes: Any) -> Base:
    """adding/rnn of a few steps; None leaves a key as it is."""
    values = TINY | {key.replace("__", "."): value for key, value in changes.items()}
    given = [f"--config.{key}={value}" for key, value in values.items() if value is not None]
    return read_base("adding/rnn", given)


def find(folder: Path, axes: list[str] = AXES, base: Base | None = None, **arguments: Any) -> Found:
    """A search in a folder of its own."""
    settings: dict[str, Any] = {"trials": TRIALS, "sampler": "random", "at_once": 2} | arguments
    return search(
        parse_space(axes), base or tiny(), name="s", runs_dir=folder, sweep_dir=folder / "s",
        **settings,
    )  # fmt: skip


def study_in(folder: Path) -> list[Any]:
    """The trials of the study in a folder, as Optuna reads them."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/s/study.db")
    trials: list[Any] = optuna.load_study(study_name="s", storage=storage).trials
    close_storage(storage)
    return trials


def told(folder: Path) -> list[tuple[Any, ...]]:
    """Of every trial what may not depend on how often the search was disturbed."""
    keys = ("values", "run", "outcome", "repeats")
    attributes = [{key: t.user_attrs.get(key) for key in keys} for t in study_in(folder)]
    return [
        (t.number, t.state.name, t.value, t.intermediate_values, a)
        for t, a in zip(study_in(folder), attributes, strict=True)
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    """A random search by one process at a stretch."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, find(folder)


def test_every_trial_is_a_complete_run_of_its_values(undisturbed: tuple[Path, Found]) -> None:
    folder, found = undisturbed
    assert found.counts == {"completed": TRIALS}
    assert found.stopped is None
    trials, plan = study_in(folder), read_plan(folder / "s")
    assert [t.user_attrs["run"] for t in trials] == [p.run for p in plan]
    for trial, planned in zip(trials, plan, strict=True):
        run = load_run(folder / planned.run)
        assert run.config["optimizer"]["learning_rate"] == pytest.approx(
            trial.params["optimizer.learning_rate"], rel=1e-11
        )
        assert planned.changes == trial.user_attrs["values"]
        steps, losses = run.curve("valid", "loss")
        assert list(steps) == [5, 10, 15, 20]
        assert trial.intermediate_values == dict(zip(steps, losses, strict=True))
        assert trial.value == min(losses)
    assert {record.status for record in load_records(folder / "s")} == {"completed"}


def test_the_best_trial_comes_with_the_test_value_of_its_run(
    undisturbed: tuple[Path, Found],
) -> None:
    folder, found = undisturbed
    best = found.best
    assert best is not None
    values = [trial.value for trial in study_in(folder)]
    assert best.validation == min(values)
    assert best.trial == values.index(min(values))
    assert best.test == load_run(folder / best.run).status["test"]["loss"]


def test_a_search_that_is_through_does_nothing_and_one_with_more_trials_goes_on(
    undisturbed: tuple[Path, Found], tmp_path: Path
) -> None:
    folder, found = undisturbed
    before = told(folder)
    assert find(folder) == found
    assert told(folder) == before


def test_runs_that_exist_are_not_made_again(undisturbed: tuple[Path, Found]) -> None:
    folder, found = undisturbed
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("adding/rnn/*/*")}
    again = search(
        parse_space(AXES), tiny(), trials=TRIALS, name="again", sampler="random",
        runs_dir=folder, sweep_dir=folder / "again", storage=f"sqlite:///{folder}/s/study.db",
    )  # fmt: skip
    assert (again.counts, again.best) == (found.counts, found.best)
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


KILLS: dict[str, tuple[str, int]] = {
    "in mid-run": ("judge", 5),
    "before the study is told": ("ended", 1),
}


def child(folder: str, kill: str, wait: bool) -> None:
    """A process that searches; it kills itself at the call of a method, or waits for another."""
    asked: list[object] = []
    method, count = KILLS.get(kill, ("", 0))
    if method:
        original: Callable[..., Any] = getattr(Trials, method)

        def dying(*arguments: Any, **keywords: Any) -> Any:
            asked.append(None)
            if len(asked) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **keywords)

        setattr(Trials, method, dying)
    if wait:
        judge = Trials.judge

        def waiting(self: Trials, run: str, step: int, value: float, *, last: bool) -> str | None:
            while len({t.user_attrs.get("searcher") for t in self.all()}) < 2:
                time.sleep(0.05)
            return judge(self, run, step, value, last=last)

        Trials.judge = waiting  # type: ignore[method-assign]
    logging.basicConfig(level=logging.INFO)
    sys.stdout.write(json.dumps(asdict(find(Path(folder)))))


def start(root: Path, folder: Path, *, kill: str = "", wait: bool = False) -> Any:
    """`child` in a process of its own."""
    code = f"from tests.test_search import child; child({str(folder)!r}, {kill!r}, {wait})"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=pipe, stderr=pipe)


def test_a_search_that_is_killed_again_and_again_is_the_undisturbed_one(
    undisturbed: tuple[Path, Found],
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kill in KILLS:
        process = start(root, tmp_path, kill=kill)
        _, err = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, err.decode()
        assert any(trial.state.name == "RUNNING" for trial in study_in(tmp_path))
    with (tmp_path / "s" / "plan.jsonl").open("a") as stream:
        stream.write('{"run": "adding/rnn/of a process that was ki')
    lose_storage(tmp_path, monkeypatch)
    cancel = tmp_path / "s" / "cancel"
    stopped = find(tmp_path, told=lambda status: cancel.touch())
    assert stopped.stopped == "cancelled"
    cancel.unlink()
    found = find(tmp_path)
    assert found == undisturbed[1]
    assert told(tmp_path) == told(undisturbed[0])
    runs = [planned.run for planned in read_plan(tmp_path / "s")]
    assert sorted(runs) == sorted(planned.run for planned in read_plan(undisturbed[0] / "s"))
    for run in runs:
        rows = [(r["kind"], r["step"]) for r in load_run(tmp_path / run).metrics]
        alone = [(r["kind"], r["step"]) for r in load_run(undisturbed[0] / run).metrics]
        assert rows == alone
    assert list((tmp_path / "s" / "searchers").iterdir()) == []


def lose_storage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search whose database fails at the first validation interrupts its runs."""

    def fail(*arguments: Any, **keywords: Any) -> None:
        raise OperationalError("report", {}, Exception("server has gone away"))

    with monkeypatch.context() as patch:
        patch.setattr(optuna.trial.Trial, "report", fail)
        with pytest.raises(RunError, match=r"server has gone away.*same command resumes"):
            find(folder)
    statuses = [record.status for record in load_records(folder / "s")]
    assert "interrupted" in statuses
    assert "failed" not in statuses


def test_two_processes_share_a_study_and_its_number_of_trials(
    undisturbed: tuple[Path, Found], tmp_path: Path, root: Path
) -> None:
    processes = [start(root, tmp_path, wait=True) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    assert told(tmp_path) == told(undisturbed[0])
    assert len({trial.user_attrs["searcher"] for trial in study_in(tmp_path)}) == 2
    last = max((json.loads(out) for out, _ in outputs), key=lambda f: f["counts"]["completed"])
    assert last["counts"] == {"completed": TRIALS}
    assert len(read_plan(tmp_path / "s")) == TRIALS


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    """Successive halving, one run at a time."""
    folder = tmp_path_factory.mktemp("halved")
    return folder, find(folder, AXES, pruner="asha", prune_after=EVERY, at_once=1)


def test_asha_stops_what_its_rule_stops(halved: tuple[Path, Found]) -> None:
    folder, found = halved
    trials = study_in(folder)
    first: list[float] = []
    for trial in trials:
        first.append(trial.intermediate_values[EVERY])
        promoted = sorted(first)[: max(1, len(first) // 4)]
        expected = "COMPLETE" if first[-1] in promoted else "PRUNED"
        assert trial.state.name == expected, trial.number
    pruned = sum(trial.state.name == "PRUNED" for trial in trials)
    assert found.counts == {"completed": TRIALS - pruned, "pruned": pruned}
    assert 0 < pruned < TRIALS


def test_a_pruned_run_is_complete_up_to_its_last_step_and_says_why(
    halved: tuple[Path, Found],
) -> None:
    folder, _ = halved
    for trial in study_in(folder):
        if trial.state.name == "PRUNED":
            run = load_run(folder / trial.user_attrs["run"])
            value = trial.intermediate_values[EVERY]
            assert run.status["status"] == "pruned"
            assert run.status["step"] == EVERY
            assert run.status["reason"] == f"by asha after step 5: validation loss {value:.6g}"
            assert run.status["best"]["value"] == trial.value == value
            assert list(run.steps) == [0]
            assert not run.curve("test", "loss")[0].size
            assert (run.path / "checkpoints" / "last" / "5").exists()
            assert trial.user_attrs["outcome"]["reason"] == run.status["reason"]


def test_one_run_at_a_time_finds_the_same_again(halved: tuple[Path, Found], tmp_path: Path) -> None:
    found = find(tmp_path, AXES, pruner="asha", prune_after=EVERY, at_once=1)
    assert found == halved[1]
    assert told(tmp_path) == told(halved[0])


def test_diverged_failed_and_repeated_trials_do_not_end_a_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    axes = [
        "zip:optimizer.learning_rate=1e-2,1e6,1e-2,-1;optimizer.warmup_steps=0,0,50,0;"
        "cell.activation=tanh,relu,relu,relu"
    ]
    base = tiny(optimizer__name="sgd", clip__name="none")
    found = find(tmp_path, axes, base, trials=12, sampler="tpe")
    trials = study_in(tmp_path)
    states = {
        (trial.user_attrs["outcome"]["status"], trial.state.name, "run" in trial.user_attrs)
        for trial in trials
    }
    assert states == {
        ("completed", "COMPLETE", True), ("diverged", "PRUNED", True), ("failed", "FAIL", True),
        ("failed", "FAIL", False),
    }  # fmt: skip
    assert sum(found.counts.values()) == len(trials) == 12
    assert found.repeated == sum("repeats" in trial.user_attrs for trial in trials) >= 6
    for trial in trials:
        if "repeats" in trial.user_attrs:
            first = trials[trial.user_attrs["repeats"]]
            assert (trial.params, trial.state, trial.value) == (
                first.params, first.state, first.value,
            )  # fmt: skip
            assert trial.intermediate_values == first.intermediate_values
    reasons = {t.user_attrs["outcome"]["reason"] for t in trials if t.state.name == "FAIL"}
    assert "warm-up of 50 steps is not shorter than 20 steps" in reasons
    assert any("must be positive" in reason for reason in reasons)
    plan = read_plan(tmp_path / "s")
    assert len(plan) == len({planned.group for planned in plan}) == 3


def proposals(name: str, told_as: Any, *, of: Callable[[float], float | None]) -> list[float]:
    """What a sampler proposes for x in [0, 1] while it is told `of(x)`; None is an end without."""
    study = optuna.create_study()
    drawn = []
    for number in range(60):
        trial = study.ask()
        study.sampler = make_sampler(name, 0, number)
        drawn.append(trial.suggest_float("x", 0, 1))
        value = of(drawn[-1])
        study.tell(trial, value, None if value is not None else told_as)
    return drawn


def test_tpe_draws_near_the_minimum_and_random_does_not() -> None:
    def distance(name: str) -> float:
        drawn = proposals(name, None, of=lambda x: (x - 0.3) ** 2)
        return sum(abs(x - 0.3) for x in drawn[20:]) / 40

    assert distance("tpe") < 0.15 < 0.25 < distance("random")


def test_tpe_avoids_what_diverged_but_not_what_failed() -> None:
    def in_bad_half(told_as: Any) -> int:
        drawn = proposals("tpe", told_as, of=lambda x: None if x > 0.5 else 1 - x)
        return sum(x > 0.5 for x in drawn[10:])

    state = optuna.trial.TrialState
    assert in_bad_half(state.PRUNED) < in_bad_half(state.FAIL) / 2


def test_draws_of_a_trial_depend_on_seed_and_number_alone() -> None:
    def draw(seed: int, number: int) -> float:
        study = optuna.create_study(sampler=make_sampler("random", seed, number))
        return float(study.ask().suggest_float("x", 0, 1))

    assert draw(0, 3) == draw(0, 3)
    assert len({draw(seed, number) for seed in range(3) for number in range(5)}) == 15


def trials_in(
    folder: Path, sweep: str, budget: int, pruner: str = "none"
) -> tuple[Trials, Callable[[], None]]:
    """The trials of a process that searches in a directory of its own, and how it dies."""
    outline = make_outline(
        parse_space(PROGRAMS), tiny(), trials=budget, sampler="random", pruner=pruner,
        prune_after=None, seed=0, data_dir=None,
    )  # fmt: skip
    seat = Seat(folder / sweep)
    storage = open_storage(f"sqlite:///{folder}/shared.db", folder)
    study = open_study(storage, "s", higher_is_better=False, identity=outline.identity)
    study.pruner = outline.pruner
    number = storage.get_study_id_from_name("s")
    trial_id = partial(storage.get_trial_id_from_study_id_trial_number, number)
    plan = GrowingPlan(folder / sweep, folder, None)
    trials = Trials(study, seat, plan, outline, runs_dir=folder, trial_id=trial_id)

    def die() -> None:
        close_storage(storage)
        seat.leave(keep=True)

    return trials, die


def test_machines_that_ask_in_the_same_moment_make_no_trial_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, die_here), (there, die_there) = (trials_in(tmp_path, s, 1) for s in ("here", "there"))
    ask = here.study.ask
    runs = []

    def late() -> Any:
        runs.append(there.next())
        return ask()

    monkeypatch.setattr(here.study, "ask", late)
    assert here.next() is None
    assert [run is not None for run in runs] == [True]
    assert [trial.number for trial in here.all()] == [0]
    assert there.next() is None
    assert len(here.study.get_trials()) == 2
    die_here()
    die_there()


def test_trials_of_a_dead_process_are_taken_over_in_its_directory_only(tmp_path: Path) -> None:
    first, die = trials_in(tmp_path, "here", 2)
    run = first.next()
    assert run is not None
    (same, die_same), (other, die_other) = (trials_in(tmp_path, s, 1) for s in ("here", "there"))
    assert same.next() is None
    die()
    assert other.next() is None
    again = same.next()
    assert again is not None
    assert again.run == run.run
    assert len(same.all()) == 1
    die_same()
    die_other()


def test_a_trial_that_died_before_it_had_values_gets_those_of_its_number(tmp_path: Path) -> None:
    undisturbed, die_there = trials_in(tmp_path / "other", "here", 1)
    expected = undisturbed.next()
    first, die = trials_in(tmp_path, "here", 1)
    assert first._ask() is not None
    die()
    second, die_here = trials_in(tmp_path, "here", 1)
    run = second.next()
    assert run is not None
    assert run == expected
    assert [trial.number for trial in second.all()] == [0]
    die_here()
    die_there()


def test_a_decision_to_prune_outlives_its_process(tmp_path: Path) -> None:
    first, die = trials_in(tmp_path, "here", 2, "asha")
    good, bad = (run.run for run in (first.next(), first.next()) if run is not None)
    assert first.judge(good, EVERY, 0.1, last=False) is None
    reason = first.judge(bad, EVERY, 0.9, last=False)
    assert reason == "by asha after step 5: validation loss 0.9"
    die()
    second, die_here = trials_in(tmp_path, "here", 2, "asha")
    assert {run.run for run in (second.next(), second.next()) if run is not None} == {good, bad}
    assert second.judge(bad, EVERY, 0.9, last=False) == reason
    assert second.judge(good, EVERY, 0.1, last=False) is None
    die_here()


def test_a_trial_that_is_ended_from_outside_stops_its_run_alone(tmp_path: Path) -> None:
    trials, die = trials_in(tmp_path, "here", 2)
    runs = [run.run for run in (trials.next(), trials.next()) if run is not None]
    trials.study.tell(0, state=optuna.trial.TrialState.FAIL)
    reasons = [trials.judge(run, EVERY, 0.5, last=False) for run in runs]
    assert reasons == ["trial 0 was ended from outside", None]
    trials.ended(runs[0], Result(tmp_path / runs[0], "pruned", EVERY, str(reasons[0])))
    assert [trial.state.name for trial in trials.all()] == ["FAIL", "RUNNING"]
    die()


def test_the_median_pruner_waits_for_its_first_step_and_for_completed_trials() -> None:
    goal = Goal("loss", False, total_steps=10, eval_steps=1)
    study = optuna.create_study(pruner=make_pruner("median", goal, 3))

    def stops_at(*values: float) -> int | None:
        trial = study.ask()
        for step, value in enumerate(values, 1):
            trial.report(value, step)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return step
        study.tell(trial, values[-1])
        return None

    assert [stops_at(v, v, v, v) for v in (1.0, 2.0, 3.0, 4.0, 5.0)] == [None] * 5
    assert stops_at(9.0, 9.0, 9.0, 9.0) == 3
    assert stops_at(2.9, 2.9, 2.9, 2.9) is None


def test_groups_of_a_plan_are_programs_also_when_it_is_read_again(tmp_path: Path) -> None:
    space = parse_space(["cell.recurrent_scale=linear:0.1..2", "cell.activation=tanh,relu"])

    def groups(*asked: tuple[float, str]) -> list[int]:
        plan, numbers = GrowingPlan(tmp_path, tmp_path, None), []
        for scale, activation in asked:
            changes = {"cell.recurrent_scale": scale, "cell.activation": activation}
            made = point(space, tiny(), changes)
            numbers.append(plan.add(made.config, made.changes).group)
        return numbers

    assert groups((1.0, "tanh"), (0.9, "tanh")) == [0, 0]
    assert groups((0.8, "relu"), (0.7, "tanh"), (0.9, "tanh")) == [1, 0, 0]
    assert [planned.group for planned in read_plan(tmp_path)] == [0, 0, 1, 0]


def test_runs_of_other_programs_wait_within_bounds_and_none_is_lost(tmp_path: Path) -> None:
    trials, die = trials_in(tmp_path, "here", 14)
    searcher = Searcher(trials, most=3, told=lambda status: None)
    seen: list[str] = []
    groups: list[int] = []
    while (program := searcher.next_program()) is not None:
        groups.append(program)
        while (run := searcher.take(program)) is not None:
            assert run.group == program
            seen.append(run.run)
            assert sum(map(len, searcher.waiting.values())) <= 3
    assert len(seen) == len(set(seen)) == 14
    assert set(groups) == {0, 1}
    die()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("study.db", "is no URL of a database"),
        ("sqlite://", "in memory"),
        ("nothing://host/name", "no driver"),
        ("oracle://me:secret@host/name", "no driver"),
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(
    url: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_storage(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_study_of_another_search_is_refused(tmp_path: Path) -> None:
    storage = open_storage(None, tmp_path)
    open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 0})
    open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 0})
    with pytest.raises(UsageError, match="its seed is 0"):
        open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 1})
    close_storage(storage)


@pytest.mark.parametrize(
    ("axes", "arguments", "said"),
    [
        ([], {}, "nothing to search"),
        ([AXES[0], "random:3"], {}, "--trials"),
        (["task=adding,copy_memory", "cell=rnn"], {}, "one task, not of adding, copy_memory"),
        (["train.batch_size=2,4"], {"pruner": "asha"}, "train.batch_size changes"),
        (AXES, {"pruner": "median", "prune_after": 16}, "median would stop no run"),
        (AXES, {"pruner": "ahsa"}, "Did you mean 'asha'"),
        (AXES, {"trials": 0}, "at least one trial"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_made(
    axes: list[str], arguments: dict[str, Any], said: str, tmp_path: Path
) -> None:
    base = read_base(None) if "task" in str(axes) else tiny(train__batch_size=None)
    with pytest.raises(UsageError, match=said):
        find(tmp_path, axes, base, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_several_seeds_are_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    space = Space(parse_space(AXES).groups, seeds=3)
    with pytest.raises(UsageError, match="sweep with --seeds"):
        search(space, tiny(), trials=1, name="s", runs_dir=tmp_path, sweep_dir=tmp_path / "s")


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'rnnexp\[search\]'"):
        import_optuna()


def test_optuna_says_nothing_past_the_handlers_of_the_program() -> None:
    logger = logging.getLogger("optuna")
    import_optuna()
    assert (logger.propagate, logger.handlers) == (True, [])


def test_values_of_every_kind_of_axis_are_chosen_as_the_space_names_them() -> None:
    texts = [
        "cell.hidden_size=4,8,16", "optimizer.learning_rate=log:1e-3..1e-1:3",
        "zip:clip.name=value,none;clip.threshold=0.5,2", "train.batch_size=log:2..9",
        "model.residual=true,false",
    ]  # fmt: skip
    base = read_base("adding/rnn")
    outline = make_outline(
        parse_space(texts), base, trials=9, sampler="random", pruner="none", prune_after=None,
        seed=0, data_dir=None,
    )  # fmt: skip
    assert outline.settings == 3 * 3 * 2 * 8 * 2
    study, seen = optuna.create_study(), set()
    for number in range(150):
        trial = study.ask()
        study.sampler = make_sampler("random", 0, number)
        values = outline.choose(trial)
        point = outline.make(values)
        assert values == {k: v for k, v in point.changes.items() if k != "seed"}
        pair = (values["clip.name"], values["clip.threshold"])
        assert pair in {("value", 0.5), ("none", 2.0)}
        seen |= {("size", values["cell.hidden_size"]), ("rate", values["optimizer.learning_rate"])}
        seen |= {("batch", values["train.batch_size"]), ("residual", values["model.residual"])}
        seen |= {pair}
    sizes = {("size", n) for n in (4, 8, 16)} | {("rate", r) for r in (1e-3, 1e-2, 1e-1)}
    rest = {("batch", n) for n in range(2, 10)} | {("residual", True), ("residual", False)}
    assert seen == sizes | rest | {("value", 0.5), ("none", 2.0)}
    assert choose(trial, []) == {}
