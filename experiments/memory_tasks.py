"""Two tasks of the neural Turing machine's paper, with and without a memory.

    python experiments/memory_tasks.py [--tasks ntm_copy dynamic_ngrams] [--seeds 5]

The copy task trains on 1 to 20 vectors and is tested on exactly 20 and 40; the 6-grams are of
200 bits. A memory of 64 slots of 20 numbers, an LSTM of 100 units with and without it, otherwise
the tasks' defaults, but a faster rate for the 6-grams.

Prints, of every run, its test scores and minutes: for the copy task the wrong bits of a sequence of
20 vectors, and the fraction of wrong bits at 40; for the 6-grams the bits a sequence costs,
and how many more these are than those of the exact Bayes answer. A second call makes only what is
missing. Expected on 2 cores: about 4 minutes a seed and cell on the copy task, 10 on the 6-grams.
"""

import argparse
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp import experiment, finish, load_run, run
from rnnexp.config.schema import flat, settle_durations
from rnnexp.results.load import Run

CELLS: dict[str, dict[str, Any]] = {"ntm": {"slots": 64, "width": 20}, "lstm": {}}
UPDATES = {"ntm_copy": 8000, "dynamic_ngrams": 6000}
FASTER = {"optimizer.learning_rate": 4e-3}
"""Of the 6-grams: at the tasks' default rate the loss still falls after 4,000 updates."""
LENGTHS = (20, 40)


def configured(task: str, cell: str, seed: int) -> FrozenConfigDict:
    """The configuration of a run."""
    config = experiment(f"{task}/{cell}")
    before = flat(config)
    changes = {f"cell.{key}": value for key, value in CELLS[cell].items()}
    changes |= {"seed": seed, "train.duration_steps": UPDATES[task]}
    if task == "ntm_copy":
        changes["eval.lengths"] = LENGTHS
    else:
        changes |= FASTER
    config.update_from_flattened_dict(changes)
    settle_durations(config, before, list(changes))
    return finish(config)


def scores(task: str, trained: Run) -> str:
    """The scores of a run that its task is about."""
    if (test := trained.status.get("test")) is None:
        return str(trained.status["status"])
    if task == "ntm_copy":
        short, long = LENGTHS
        by_length = trained.status["by_length"]["test"]
        wrong, rate = by_length[str(short)]["wrong_bits"], by_length[str(long)]["error_rate"]
        return f"{wrong:.3f} wrong bits at {short}; {100 * rate:.2f} % wrong at {long}"
    return f"{test['bits']:.1f} bits, {test['excess_bits']:.1f} more than Bayes' answer"


def main() -> None:
    """Train what is missing and print a row for every run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/memory_tasks"))
    parser.add_argument("--tasks", nargs="+", choices=UPDATES, default=list(UPDATES))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--seeds", type=int, default=5)
    known = parser.parse_args()
    print("| task | cell | seed | test | minutes |\n| --- | --- | --- | --- | --- |")
    for task in known.tasks:
        for cell in known.cells:
            for seed in range(known.seeds):
                result = run(configured(task, cell, seed), runs_dir=known.runs_dir)
                trained = load_run(result.path)
                spent = trained.metrics[-1]["time"] - trained.metrics[0]["time"]
                row = f"| {task} | {cell} | {seed} | {scores(task, trained)} |"
                print(f"{row} {spent / 60:.0f} |", flush=True)


if __name__ == "__main__":
    main()
