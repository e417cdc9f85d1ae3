"""Gradient flossing in Engelken 2023: does it help a tanh network to learn the delayed XOR?

    rnnexp study experiments/studies/engelken_2023.py

Flossing drives the leading Lyapunov exponents of a network to 0, in updates of its own: before
training (500), or also in its course (500 before the 100th and before the 200th update by the
task). The settings are those of the example in the author's code, github.com/RainerEngelken/
GradientFlossing: 80 tanh units with Gaussian weights at g = 1, batches of 16 sequences of 300
steps, Adam at 1e-3 (AdamW without decay), gradients clipped at 0.03, 3,000 updates by the task;
flossing takes 75 exponents of one sequence's first 55 steps, with an Adam of its own.

The task is `streaming_xor`. A delay of 10 is the example's, so that an answer depends on the bits
10 and 20 steps ago; 20 is a harder task.
"""

import math
from typing import Any

import numpy as np

import rnnexp
from rnnexp.results.load import Run
from rnnexp.study import Beyond, Ordering, Reference, Runs, Study, steps_until
from rnnexp.study.claims import Claim, Group, Value

SEEDS = 5
DELAYS = (10, 20)
UPDATES, PHASE = 3000, 500
BEGINS = {"none": (), "before": (0,), "before and during": (0, PHASE + 99, 2 * PHASE + 199)}
"""The updates at which flossing begins."""
SOLVED = 0.9
SETTINGS: dict[str, Any] = {
    "cell.hidden_size": 80, "cell.start": "gaussian", "task.length_steps": 300,
    "train.batch_size": 16, "optimizer.name": "adam", "optimizer.learning_rate": 1e-3,
    "clip.name": "global_norm", "clip.threshold": 0.03,
    "eval.every_steps": 100, "eval.examples": 256, "record.every_steps": 100,
    "checkpoint.every_steps": PHASE,
    "laboratory.every_steps": PHASE, "laboratory.examples": 1, "laboratory.exponents": 75,
    "laboratory.interval_steps": 1, "laboratory.warmup_steps": 16,
    "laboratory.longest_span": 0, "laboratory.lag_examples": 0,
}  # fmt: skip
FLOSSING: dict[str, Any] = {
    "regularizer.flossing": 1.0, "regularizer.flossing_exponents": 75,
    "regularizer.flossing_before_steps": PHASE, "regularizer.flossing_every_steps": 0,
    "regularizer.flossing_window_steps": 55, "regularizer.flossing_examples": 1,
    "regularizer.flossing_optimizer": "own",
}  # fmt: skip


def changes(flossed: str, delay: int) -> dict[str, Any]:
    """What the trainings of one group have in common."""
    begins = BEGINS[flossed]
    total = {"task.delay_steps": delay, "train.duration_steps": UPDATES + PHASE * len(begins)}
    if not begins:
        return SETTINGS | total
    return SETTINGS | FLOSSING | total | {"regularizer.flossing_again_steps": begins[1:]}


def updates_by_task(run: Run, step: float) -> float:
    """How many of the first `step` updates were not by flossing."""
    section = run.config["regularizer"]
    length = int(section["flossing_before_steps"])
    begins: list[int] = [0, *section["flossing_again_steps"]]
    return step - sum(min(max(step - begin, 0), length) for begin in begins)


def updates_until_solved(run: Run) -> Value:
    """Updates by the task until a validation accuracy of `SOLVED`."""
    found = steps_until("valid", "accuracy", above=SOLVED)(run)
    if isinstance(found, Beyond):
        return Beyond(updates_by_task(run, found.steps))
    return updates_by_task(run, found)


def exponents_before_training(run: Run) -> np.ndarray:
    """The first 75 exponents before the first update by the task; NaN if there was none."""
    data = rnnexp.load_laboratory(run.path).lyapunov.sel(unit="layer_0")
    step = run.config["regularizer"]["flossing_before_steps"]
    if step not in data.step:
        return np.full(75, math.nan)
    exponents: np.ndarray = data.sel(step=step).values
    return exponents


def mean_square(run: Run) -> float:
    """Of `exponents_before_training`, what flossing minimises."""
    return float(np.mean(np.square(exponents_before_training(run))))


def condition_rate(run: Run) -> float:
    """ln of the condition number of the long-term Jacobian in 75 directions, per step."""
    exponents = exponents_before_training(run)
    return float(exponents[0] - exponents[-1])


def claims_of_exponents() -> list[Claim]:
    """What flossing does before there is a training."""
    pair = f"before, delay {DELAYS[0]}", f"none, delay {DELAYS[0]}"
    return [
        ordering(
            "flossing moves exponents to 0: mean square of the first 75", pair, "mean_square",
            "exponents before the first update by the task",
        ),
        ordering(
            "flossing controls the condition number of the long-term Jacobian", pair,
            "condition_rate", "its logarithm per step in 75 directions, before training",
        ),
    ]  # fmt: skip


def claims_of_training(delay: int) -> list[Claim]:
    """What trains better, and faster, at a delay."""
    none, before, both = (f"{flossed}, delay {delay}" for flossed in BEGINS)
    return [
        ordering(
            f"delay {delay}: flossing before training, or none",
            (before, none), "test_accuracy", "test accuracy", higher_is_better=True,
        ),
        ordering(
            f"delay {delay}: flossing before training, or none; how fast",
            (before, none), "updates_until_solved",
            f"updates by the task until a validation accuracy of {SOLVED}",
        ),
        ordering(
            f"delay {delay}: flossing before and during training, or before",
            (both, before), "test_accuracy", "test accuracy", higher_is_better=True,
        ),
    ]  # fmt: skip


def ordering(
    name: str,
    pair: tuple[str, str],
    measure: str,
    convention: str,
    *,
    higher_is_better: bool = False,
) -> Ordering:
    """A claim of the abstract, that the first group of a pair is better."""
    return Ordering(
        name=name,
        reference=Reference("Engelken 2023, abstract", "V", convention=convention),
        pairs=[pair],
        measure=measure,
        higher_is_better=higher_is_better,
    )


def get_study() -> Study:
    """Orderings of the trainings with flossing and without, by delay."""
    groups: list[Group] = [
        Runs(f"{flossed}, delay {delay}", "streaming_xor/rnn", changes(flossed, delay), SEEDS)
        for delay in DELAYS
        for flossed in BEGINS
    ]
    return Study(
        name="engelken_2023",
        paper="Engelken 2023, Gradient flossing: improving gradient descent through dynamic "
        "control of Jacobians",
        table="claims of the abstract, in the example of the author's code (delayed XOR)",
        groups=groups,
        claims=claims_of_exponents() + [c for delay in DELAYS for c in claims_of_training(delay)],
        measures={
            "mean_square": mean_square,
            "condition_rate": condition_rate,
            "updates_until_solved": updates_until_solved,
        },
        deviations=[
            "the readout reads tanh of the potentials and starts small; the author's reads the "
            "potentials themselves, with weights of variance 1",
            "biases start at 0, and sequences in the state 0; in that code biases start between 0 "
            "and 0.1, and the initial state, that after 100 steps without input, is trained",
            "the norm of the whole gradient is clipped, in that code that of each array",
            "6 steps align the tangent vectors before exponents count, in that code 16",
            "a delay of 20 is not the example's",
        ],
        notes=[
            "solved are, of five: at a delay of 10, three without flossing, five with it; at 20, "
            "none without, three with flossing before training, five with flossing during it too",
        ],
    )
