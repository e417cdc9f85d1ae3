"""Test errors of a memory network on the 20 bAbI tasks, beside the published ones.

    rnnexp sweep --space experiments/babi_errors.py --data-dir DATA
    python experiments/babi_errors.py runs/sweeps/NAME

The first command trains 10 seeds on each task, 1,000 examples, at the defaults of
`babi/memory_network`, and prints the sweep's name. The second takes, as the paper does, the
training with the lowest error on its training examples, and prints its test error in percent
beside the median and the range of the ten, and beside the published errors of the original program
(Sukhbaatar et al. 2015, "End-to-end memory networks", and its code: position encoding, linear
start, random noise). Expected on 2 cores: about half an hour.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from rnnexp.config.schema import experiment
from rnnexp.results.frames import load_runs
from rnnexp.results.load import load_run
from rnnexp.sweep.space import Space, parse_space

PUBLISHED = (
    *(0.1, 8.2, 41.8, 4.4, 13.7, 7.9, 20.3, 11.7, 13.6, 9.7),
    *(0.7, 0.0, 0.3, 0.9, 0.0, 0.4, 51.0, 10.5, 81.4, 0.0),
)
TASKS, SEEDS = 20, 10
EPOCHS = 5
"""Whose training error counts, of the last."""


def get_config() -> ConfigDict:
    """What all trainings have in common: the defaults."""
    return experiment("babi/memory_network")


def get_space() -> Space:
    """The tasks, and the seeds."""
    numbers = ",".join(str(number) for number in range(1, TASKS + 1))
    return parse_space([f"task.number={numbers}"], seeds=str(SEEDS))


def training_error(path: Path) -> tuple[float, float]:
    """The mean error of a training's last epochs on their batches, and the mean loss."""
    trained = load_run(path)
    steps, accuracy = trained.curve("train", "accuracy")
    _, loss = trained.curve("train", "loss")
    epoch_steps = trained.status["step"] / trained.config["train"]["duration_epochs"]
    late = steps > trained.status["step"] - EPOCHS * epoch_steps
    return 1 - float(np.mean(accuracy[late])), float(np.mean(loss[late]))


def main() -> None:
    """Print the table of a finished sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    table = load_runs(parser.parse_args().sweep)
    print("| task | chosen | median of all | range | published |\n| --- | --- | --- | --- | --- |")
    chosen_of = {}
    for number in map(str, range(1, TASKS + 1)):
        runs = table[(table["config.task.number"] == number) & (table["status"] == "completed")]
        if runs.empty:
            print(f"| {number} | no finished run | | | |")
            continue
        errors = 100 * (1 - runs["test_accuracy"].to_numpy(float))
        best = min(range(len(runs)), key=lambda n: training_error(Path(runs["path"].iloc[n])))
        chosen_of[number] = errors[best]
        spread = f"{np.median(errors):.1f} | {errors.min():.1f} to {errors.max():.1f}"
        print(f"| {number} | {errors[best]:.1f} | {spread} | {PUBLISHED[int(number) - 1]:.1f} |")
    mean = statistics.mean(chosen_of.values())
    print(f"| mean of {len(chosen_of)} | {mean:.1f} | | | {statistics.mean(PUBLISHED):.1f} |")


if __name__ == "__main__":
    main()
