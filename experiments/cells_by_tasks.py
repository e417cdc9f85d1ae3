"""Every cell on five tasks with the same small budget: final score and reach of the gradient.

    python experiments/cells_by_tasks.py --data-dir DATA [--cells lstm gru ...]

Each run has 64 hidden units, batches of 32, Adam at the task's default rate and 500 updates
(150 on JSB). Prints a Markdown table with the final test score of every pair and, in
brackets, the slope of ln ||dL/dh_t|| over the lag in nats per step: the median over the
recorded steps of the last half. A second call prints from the finished runs.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from rnnexp import experiment, finish, load_run, run
from rnnexp.cells import CELLS
from rnnexp.core.errors import UsageError
from rnnexp.results.load import Run

TASKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "copy memory, delay 50": ("copy_memory", {"delay_steps": 50}, "loss"),
    "adding, 100 steps": ("adding", {"length_steps": 100}, "loss"),
    "temporal order, 50": ("temporal_order", {}, "accuracy"),
    "digits, pixels": ("digits", {}, "accuracy"),
    "JSB, nats a step": ("jsb_chorales", {}, "loss"),
}
HIDDEN, BATCH, STEPS, JSB_STEPS = 64, 32, 500, 150


def train(task: str, cell: str, options: dict[str, Any], known: argparse.Namespace) -> Run | None:
    """One run of the table; None if the cell does not fit the task."""
    try:
        config = experiment(f"{task}/{cell}")
    except UsageError:
        return None
    steps = JSB_STEPS if task == "jsb_chorales" else STEPS
    config.task.update(options)
    config.cell.hidden_size = HIDDEN
    config.train.batch_size = BATCH
    for name in ("train.duration", "eval.every"):
        section, key = name.split(".")
        for unit in ("steps", "epochs", "examples"):
            config[section][f"{key}_{unit}"] = None
    config.train.duration_steps, config.eval.every_steps = steps, steps // 2
    result = run(finish(config), runs_dir=known.runs_dir, data_dir=known.data_dir)
    trained: Run = load_run(result.path)
    return trained


def entry(trained: Run | None, score: str) -> str:
    """The score and the slope of the topmost unit, as the table shows them."""
    if trained is None:
        return "-"
    test = trained.status.get("test")
    if test is None:
        return str(trained.status["status"])
    _, slopes = trained.curve("train", f"slope/{trained.units[-1]}/h")
    late = slopes[len(slopes) // 2 :]
    slope = f"{np.nanmedian(late):+.3f}" if np.isfinite(late).any() else "none"
    return f"{float(test[score]):.3g} ({slope})"


def main() -> None:
    """Train what is missing, row by row, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/cells_by_tasks"))
    parser.add_argument("--cells", nargs="+", default=list(CELLS.builtin), choices=CELLS.builtin)
    known = parser.parse_args()
    print("| cell | " + " | ".join(TASKS) + " |")
    print("| --- |" + " --- |" * len(TASKS))
    baselines: dict[str, str] = {}
    for cell in known.cells:
        row = []
        for label, (task, options, score) in TASKS.items():
            trained = train(task, cell, options, known)
            row.append(entry(trained, score))
            if trained is not None:
                baselines[label] = f"{trained.baseline()[score]:.3g}"
        if set(row) != {"-"}:  # such a cell reads no sequence
            print(f"| `{cell}` | " + " | ".join(row) + " |", flush=True)
    print("| *baseline* | " + " | ".join(baselines[label] for label in TASKS) + " |")


if __name__ == "__main__":
    main()
