"""The workloads of the benchmark: sizes, operations, bytes, and the batch of all contenders.

A training step is forward, backward and an SGD update of recurrent layers with a linear readout of
the last output into `CLASSES` classes, under the mean cross-entropy; an evaluation is the forward
pass alone.
"""

from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError, require_choice

CLASSES = 10
LEARNING_RATE = 0.01
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
"""The compared cells (`rnn`: tanh), and how many blocks their matrices have."""


SAVED = {"lstm": 5, "gru": 4, "rnn": 0}
"""Numbers of a unit and step that the kernels keep for the backward pass, besides the state."""


class Workload(NamedTuple):
    """A workload.

    Attributes:
      steps: T.
      batch_size: examples B.
      input_size: features I.
      hidden_size: units H of a cell.
      layers: layers on top of each other.
      both_ways: in every layer a second cell reads the sequence backwards.
      lengths: sequences end after T/4 to T steps, drawn evenly.
      record: rnnexp records gradients, every 10 steps as it does by default.
      train: a training step; otherwise the forward pass alone.
    """

    name: str
    title: str
    steps: int
    batch_size: int
    input_size: int
    hidden_size: int
    layers: int = 1
    both_ways: bool = False
    lengths: bool = False
    record: bool = True
    train: bool = True


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


class Drawn(NamedTuple):
    """The batch: inputs (T, B, I), classes (B,), and lengths (B,), or None: all T."""

    x_TxBxI: np.ndarray
    class_B: np.ndarray
    lengths_B: np.ndarray | None


def step_flops(work: Workload, cell: str) -> float:
    """Floating-point operations of a training step's matrix products.

    For each example and time step, each weight takes a multiplication and an addition in the
    forward pass, as many for the gradient by the states (the inputs of the first layer need none),
    and as many for that by the weights.
    """
    columns = GATES[cell] * work.hidden_size
    of_states = 6 if work.train else 2
    total = 0.0
    for below, directions in _layers(work):
        of_inputs = 2 if not work.train else 4 if below is None else 6
        inputs = work.input_size if below is None else below
        total += directions * columns * (of_inputs * inputs + of_states * work.hidden_size)
    return _rows(work) * total


def step_bytes(work: Workload, cell: str) -> float:
    """Bytes that a step reads and writes if all else stays in caches.

    Inputs and states are read and written once in each direction, and so is what the kernels keep
    for the backward pass.
    """
    total = 0.0
    for below, directions in _layers(work):
        inputs = work.input_size if below is None else below
        passes = 2 if work.train else 1
        total += directions * passes * (inputs + (1 + SAVED[cell] * work.train) * work.hidden_size)
    return 4 * _rows(work) * total


def _layers(work: Workload) -> list[tuple[int | None, int]]:
    """Of every layer the size of the one below, None at the first, and its directions."""
    directions = 2 if work.both_ways else 1
    above: list[tuple[int | None, int]] = [(directions * work.hidden_size, directions)]
    return [(None, directions), *above * (work.layers - 1)]


def _rows(work: Workload) -> int:
    """Examples times steps."""
    lengths_B = draw_lengths(work)
    return work.steps * work.batch_size if lengths_B is None else int(lengths_B.sum())


def draw_lengths(work: Workload) -> np.ndarray | None:
    """Steps of every sequence (B,); None: all T."""
    if not work.lengths:
        return None
    random = np.random.default_rng(1)
    drawn: np.ndarray = random.integers(
        max(1, work.steps // 4), work.steps + 1, work.batch_size, dtype=np.int32
    )
    return drawn


def draw(work: Workload) -> Drawn:
    """The batch, the same for every contender."""
    random = np.random.default_rng(0)
    x_TxBxI = random.standard_normal((work.steps, work.batch_size, work.input_size), np.float32)
    class_B = random.integers(0, CLASSES, work.batch_size).astype(np.int32)
    return Drawn(x_TxBxI, class_B, draw_lengths(work))
