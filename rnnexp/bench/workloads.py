"""The workloads of the benchmark: sizes, operation counts, and the batch of all contenders.

A training step is forward, backward and an SGD update of one recurrent layer with a linear
readout of its last output into `CLASSES` classes, under the mean cross-entropy.
"""

from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError, require_choice

CLASSES = 10
LEARNING_RATE = 0.01
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
"""The compared cells (`rnn`: tanh), and how many blocks their matrices have."""


class Workload(NamedTuple):
    """Sizes of a workload: steps T, examples B, features I, hidden units H."""

    name: str
    title: str
    steps: int
    batch_size: int
    input_size: int
    hidden_size: int


WORKLOADS = {
    work.name: work
    for work in (
        Workload("W1", "sequential MNIST", 784, 64, 1, 128),
        Workload("W2", "copy memory", 1020, 64, 10, 128),
        Workload("W3", "wide", 256, 64, 256, 512),
        Workload("W4", "music", 100, 32, 88, 46),
        Workload("W5", "long", 10_000, 8, 4, 64),
        Workload("tiny", "for trying the benchmark", 20, 4, 3, 8),
    )
}


def find_workloads(text: str) -> list[Workload]:
    """Workloads from comma-separated names; `UsageError` for an unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"no workload is named. Known: {', '.join(WORKLOADS)}.")
    for name in names:
        require_choice("workload", name, WORKLOADS)
    return [WORKLOADS[name] for name in dict.fromkeys(names)]


def step_flops(work: Workload, cell: str) -> float:
    """Floating-point operations of a training step's matrix products.

    For each example and time step, each weight takes a multiplication and an addition in the
    forward pass, as many for the gradient by the states (the inputs need none), and as many for
    that by the weights.
    """
    rows = work.steps * work.batch_size
    columns = GATES[cell] * work.hidden_size
    of_inputs, of_states = 4 * work.input_size, 6 * work.hidden_size
    return float(rows * columns * (of_inputs + of_states))


def draw(work: Workload) -> tuple[np.ndarray, np.ndarray]:
    """The batch: inputs (T, B, I) and classes (B,), the same for every contender."""
    random = np.random.default_rng(0)
    x_TxBxI = random.standard_normal((work.steps, work.batch_size, work.input_size), np.float32)
    return x_TxBxI, random.integers(0, CLASSES, work.batch_size).astype(np.int32)
