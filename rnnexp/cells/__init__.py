"""The table of cells. A new cell is one file here and one row below."""

from collections.abc import Callable
from typing import Any

from rnnexp.core.registry import GRAPH_MODES, READING_MODES, Entry, Table

SUMMARIES = {
    "feedforward": "sees only the current input: the baseline without memory",
    "tdnn": "time-delay network: a delay line in every layer, no recurrence",
    "narx": "delay lines of past inputs and of the network's own past outputs",
    "rnn": "Elman network: tanh, relu, sigmoid or linear; orthogonal or identity (IRNN) start",
    "lstm": "long short-term memory: peepholes, coupled gates, chrono start, parts left out",
    "lstm_1997": "the LSTM of 1997: blocks of cells that share their gates, no forget gate",
    "gru": "gated recurrent unit: reset gate before or after the recurrent product",
    "minimal_gated": "minimal gated unit (MGU): one forget gate",
    "min_gru": "minGRU: gates see the input alone, so the recurrence is linear in the state",
    "min_lstm": "minLSTM: normalised forget and input gates that see the input alone",
    "indrnn": "independently recurrent network: every unit reads only itself",
    "lru": "linear recurrent unit: complex diagonal, eigenvalues near the unit circle",
    "cornn": "coupled oscillators: a damped, driven second-order system",
    "lem": "long expressive memory: two states with learned time steps",
    "antisymmetric": "antisymmetric recurrent matrix, Euler steps: "
    "eigenvalues near the imaginary axis",
    "orthogonal": "recurrent matrix kept orthogonal by the exponential map, modReLU",
    "unitary": "uRNN: complex diagonals, reflections and Fourier transforms, modReLU",
    "clockwork": "modules of units that tick at periods 1, 2, 4, ...",
    "scrn": "structurally constrained: slow context units beside a fast Elman layer",
    "memory_network": "end-to-end memory network: hops over the sentences of a story",
    "ntm": "neural Turing machine: an LSTM that reads and writes a memory by content and place",
    "dnc": "differentiable neural computer: a memory with usage, allocation and links in time",
    "stack_rnn": "stack-augmented: a layer that pushes to and pops from differentiable stacks",
    "hopfield": "Hopfield networks: classical, continuous, dense (polynomial, exponential), modern",
    "rbm": "restricted Boltzmann machine: CD-k along its Gibbs chain, or the exact likelihood",
    "boltzmann": "Boltzmann machine: all units coupled, by enumeration; sweeps of Gibbs sampling",
    "graph": "graph network: any cell updates every node by its neighbours' messages (gru: GGNN)",
}
"""One line on every cell. Its file and its factory have its name."""
OTHER_MODES = {
    "narx": ("sequence_to_one", "one_to_many", "synchronous", "story_to_answer"),
    "memory_network": ("story_to_answer",),
    "hopfield": ("cue_to_pattern",),
    "rbm": ("density",),
    "boltzmann": ("density",),
    "graph": GRAPH_MODES,
}
"""The modes of cells whose modes are not those of a cell that reads a sequence."""
DEFAULTS = {
    "memory_network": {  # for the mean loss; close to those of the authors, whose loss is a sum
        "cell.hidden_size": 20,
        "cell.linear_start_steps": 560,  # 20 epochs of a bAbI task
        "cell.tied_answer": True,
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 0.32,
        "optimizer.schedule": "linear",
        "clip.threshold": 1.25,
    },
}
"""The configuration of experiments with a cell, where it differs from the task's."""

CELLS = Table(
    "cell",
    {
        name: Entry(
            f"rnnexp.cells.{name}:{name}",
            summary,
            OTHER_MODES.get(name, READING_MODES),
            DEFAULTS.get(name, {}),
        )
        for name, summary in SUMMARIES.items()
    },
)
cell: Callable[..., Any] = CELLS.register
"""Decorator: `@rnnexp.cell("name")` adds a cell factory `(input_size, hidden_size, *, ...)`."""
