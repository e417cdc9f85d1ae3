"""Run directories and sweeps without training, many of them in little time."""

import copy
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rnnexp.config.schema import experiment, finish

FIRST_NS = 1_700_000_000_000_000_000  # written long ago, one second apart
SECOND_NS = 1_000_000_000


@functools.cache
def base_config(name: str) -> dict[str, Any]:
    """The configuration of an experiment, every key of it."""
    config: dict[str, Any] = finish(experiment(name)).to_dict()
    return config


def synthetic_config(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """An experiment's configuration with some dotted keys changed."""
    config = copy.deepcopy(base_config(name))
    for key, value in changes.items():
        section, _, last = key.rpartition(".")
        (config[section] if section else config)[last] = value
    return config


def synthetic_name(name: str, config: dict[str, Any]) -> str:
    """`TASK/CELL/RUN_ID`, the id of the form that real runs have."""
    others = json.dumps({key: value for key, value in config.items() if key != "seed"})
    return f"{name}/{hashlib.sha256(others.encode()).hexdigest()[:8]}-seed{config['seed']}"


def write_run(
    runs_dir: Path,
    experiment_name: str = "adding/lstm",
    changes: dict[str, Any] | None = None,
    *,
    status: str = "completed",
    reason: str = "",
    test: dict[str, float] | None = None,
    valid: float | None = None,
    headline: str = "loss",
    higher_is_better: bool = False,
    age: int = 0,
    by_length: dict[str, Any] | None = None,
) -> str:
    """Write a run's directory; returns its `TASK/CELL/RUN_ID`.

    Args:
      valid: its best validation headline; None: it was never evaluated.
      by_length: its test scores at other lengths, as a run writes them.
      age: its `status.json` is so many seconds younger than that of age 0.
    """
    config = synthetic_config(experiment_name, changes or {})
    run = synthetic_name(experiment_name, config)
    content: dict[str, Any] = {"status": status, "step": 2000, "reason": reason}
    if valid is not None:
        best = {"metric": headline, "value": valid, "step": 400}
        content["best"] = best | {"higher_is_better": higher_is_better}
    if test is not None:
        content |= {"test": test, "test_step": 400}
    if by_length is not None:
        content["by_length"] = by_length
    path = f"{runs_dir}/{run}"
    os.makedirs(path)
    for file, values in (("config.json", config), ("status.json", content | {"time": 1.0})):
        with open(f"{path}/{file}", "w") as stream:
            json.dump(values, stream, indent=2)
    time_ns = FIRST_NS + age * SECOND_NS
    os.utime(f"{path}/status.json", ns=(time_ns, time_ns))
    return run


def lengths_of(losses: dict[int, float], *, baseline: float = 0.5) -> dict[str, Any]:
    """The `by_length` of a run: losses by length, and a baseline that is the same at each."""
    return {
        "unit": "steps", "train": [10, 20],
        "test": {str(length): {"loss": loss} for length, loss in losses.items()},
        "baseline": {str(length): {"loss": baseline} for length in losses},
    }  # fmt: skip


def write_lengths(runs_dir: Path, experiment_name: str = "adding/lstm") -> None:
    """Three seeds, tested at 20 and 40 steps: seed n has a loss of 0.1 and of (1 + n) / 4."""
    for seed in range(3):
        write_run(
            runs_dir, experiment_name, {"seed": seed}, valid=0.2, test={"loss": 0.1},
            by_length=lengths_of({20: 0.1, 40: (1 + seed) / 4}),
        )  # fmt: skip


def write_many(runs_dir: Path, count: int) -> list[str]:
    """`count` runs of 2 tasks and 4 cells, of 5 seeds each; every 7th has diverged."""
    names = []
    for number in range(count):
        task, rest = ("adding", "copy_memory")[number % 2], number // 2
        cell, rest = ("lstm", "gru", "rnn", "lem")[rest % 4], rest // 4
        changes = {"seed": rest % 5, "optimizer.learning_rate": 1e-4 * (1 + rest // 5)}
        loss = 0.1 + 0.001 * (number % 97)
        ended: dict[str, Any] = {"test": {"loss": loss}, "valid": loss + 0.01}
        if number % 7 == 0:
            ended = {"status": "diverged", "reason": "non-finite loss at step 12", "valid": 1.0}
        names.append(write_run(runs_dir, f"{task}/{cell}", changes, age=number, **ended))
    return names


def write_plan(
    sweep: Path, runs: Iterable[tuple[str, dict[str, Any]]], runs_dir: str = "../.."
) -> list[str]:
    """A sweep's files for runs given as experiment and changes; returns the runs' names."""
    sweep.mkdir(parents=True)
    (sweep / "sweep.json").write_text(json.dumps({"runs_dir": runs_dir}))
    lines, names = [], []
    for name, changes in runs:
        config = synthetic_config(name, changes)
        names.append(synthetic_name(name, config))
        swept = {"cell.name": name.partition("/")[2], **changes}
        lines.append({"run": names[-1], "group": 0, "changes": swept, "config": config})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (sweep / "plan.jsonl").write_text(text)
    return names


def protocol_runs(runs_dir: Path, seeds: Sequence[int] = (0, 1, 2)) -> dict[str, list[str]]:
    """Runs of adding/lstm with three learning rates, by what each is for.

    `chosen` (1e-3) is best by validation; `tempting` (1e-2) has the better test scores;
    `lucky` (1e-1) has the best validation of all, but one of its seeds diverged.
    """
    runs: dict[str, list[str]] = {"chosen": [], "tempting": [], "lucky": []}
    scores = {"chosen": (1e-3, 0.10, 0.30), "tempting": (1e-2, 0.20, 0.10)}
    for label, (rate, valid, test) in scores.items():
        for seed in seeds:
            changes = {"optimizer.learning_rate": rate, "seed": seed}
            runs[label].append(
                write_run(
                    runs_dir, "adding/lstm", changes,
                    valid=valid + 0.001 * seed, test={"loss": test + 0.01 * seed},
                )
            )  # fmt: skip
    for seed in seeds:
        changes = {"optimizer.learning_rate": 1e-1, "seed": seed}
        ended: dict[str, Any] = {"valid": 0.05, "test": {"loss": 0.5}}
        if seed == seeds[-1]:
            ended = {"status": "diverged", "reason": "non-finite loss", "valid": 0.05}
        runs["lucky"].append(write_run(runs_dir, "adding/lstm", changes, **ended))
    return runs
