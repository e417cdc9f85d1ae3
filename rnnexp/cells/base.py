"""The cell contract: a value made of pure functions, written for one example.

A step has two parts, `transition` (the recurrence) and `output` (what the layer above
sees of the new state). A probe acts on the state between them, so that dL/dh_t counts
both ways in which h_t acts on the loss: through the output at t and through every later
step.

All that the project knows of a cell is a field of `Cell`. No module has a table by the
names of cells, so a user's cell can have all that a built-in one has.

A cell's steps lie along an axis with a name: time, or the hops of a memory network, the updates
of a Hopfield network, the propagation steps of a graph network. What is fixed for an example
meanwhile, its context, is no leaf of the state: it is among the prepared parameters, under the name
`CONTEXT`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Key, Params, State, Tree

CONTEXT = "context"
"""The one prepared parameter that is an example's own: what `Cell.context` gave for it."""
LINEAR_START = "linear_start"
"""A leaf (B,) that training adds to the context of every batch for a cell with a linear start: 1
while that lasts, then 0."""


def zero_state(size: int, *leaves: str) -> Callable[[Params], State]:
    """`Cell.init_state`: zeros (size,) in every leaf, in the float type of the bias `b`."""

    def init_state(params: Params) -> State:
        return {leaf: jnp.zeros(size, params["b"].dtype) for leaf in leaves}

    return init_state


def no_gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
    """The gates of a cell that has none."""
    del params, state, x_I
    return {}


def no_matrices(params: Params) -> dict[str, Array]:
    """The recurrent matrices of a cell that has none."""
    del params
    return {}


def hidden_output(params: Params, state: State, x_I: Array) -> Array:
    """The output of most cells: the hidden state `h`."""
    del params, x_I
    return state["h"]


def as_they_are(params: Params) -> Params:
    """The preparation of most cells: none."""
    return params


States = Callable[[Params, State, Array, State], State]
NetworkScores = Callable[[Params, Array, Array, Key], Mapping[str, Array]]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A recurrent cell of fixed sizes.

    Attributes:
      name: its name in the table.
      input_size, output_size: features of `x` and of `y`.
      init: `key -> params`, a flat dict of arrays of real floats, which are trained.
      init_state: `params -> state`, a dict of arrays of the same dtype, of one example.
      transition: `(params, state, x) -> state`, structure and dtypes kept.
      output: `(params, new_state, x) -> y`.
      gates: `(params, state, x) -> {name: activation}` of the next step, each in [0, 1];
        empty for cells without gates.
      kept_fraction: `{name: activation} -> fraction` of the old state that a step with
        these gates keeps, f in c_t = f * c_{t-1} + ... It must be affine, because it is
        applied to means over units and examples. None: the gates do not determine it, and
        the cell has no time constants.
      recurrent_matrices: `prepared params -> {name: matrix}`, every square matrix (H, H)
        that multiplies the hidden state in a step, written for a row: h @ matrix. A kernel
        of several gates has one a gate (see `rnnexp.cells.gate_blocks`). `no_matrices`:
        there is none. None: differentiation finds them (`rnnexp.gradflow.recurrent_params`).
      counters: the leaves of the state that only count steps; no tangent vector starts
        along them. None: the scalar leaves that are not probed.
      prepare: `params -> params` with what depends on them alone (a matrix exponential,
        say) added; called once a sequence. Every other function takes either kind.
      parameter_count: number of trainable scalars, from the closed formula; a run compares it
        with `init`.
      hidden: the leaf of the state that is the hidden state.
      probed: the leaves whose adjoints are recorded, the hidden one among them. Delay lines
        and counters are left out: they are memory, not computed at step t.
      states: a parallel path over a whole sequence of one example,
        `(params, state, x_TxI, slots) -> states`, every leaf with a leading time axis:
        the same as the scan of `transition` with `slots[leaf][t]` added to every probed
        leaf after step t. None: there is only the scan.
      delay_steps: how many steps back its delay lines reach; 0 without delay lines.
      feedback: the leaf, (O + 1,), into which a teacher may put the true output of the
        step before, followed by a 1. None: the network does not read its own output.
      kernel: which of `rnnexp.scan.kernels.cells` computes the same over a whole sequence, with the
        hidden state as output; or None.
      kernel_weights: `prepared params -> weights` of that kernel, by its names.
      is_network: the output is the network's own; no readout follows.
      axis: what a step is: `time` for a step of a sequence, else a word such as `hop`.
      steps: how many steps it makes on an axis of its own, on which it reads no input; 0: one
        for every step of the sequence.
      context: `(prepared params, context of an example) -> {name: array}`, what every step needs
        of the example's `Batch.context`. Called once a sequence; functions of the step find it
        as `params[CONTEXT]`. None: the cell has no context.
      start: `(params with context) -> state`, the state before the first step where the context
        determines it, with the leaves of `init_state`. None: it is that of `init_state`, which
        never sees a context.
      persistent: in training, the state before the first step is that which the update before
        ended with, example by example of the batch; at the first update it is that of `init_state`.
        Of cells with steps of their own, whose batches then continue nothing else. Evaluations and
        measurements begin as ever.
      attention: `(params with context, state) -> (M,)`, the weights with which the next step
        reads the M slots of the context; (M + 1,) if some weight may be on nothing. None: the
        cell reads no slots.
      linear_start_steps: so many first steps of a training leave out a nonlinearity of the cell:
        its context then has the leaf `LINEAR_START`. Only training has it, no evaluation.
      scores: `(params, outputs_BxO, targets, key) -> {name: (B,)}`, for a network that scores
        itself: its loss is not a function of its outputs alone. They are in place of the task's,
        and "loss" is minimised; the key is for what has to be drawn. None: the task scores the
        outputs.
      evaluation_scores: the same for evaluations, in the task's units, where they are others
        than `scores`. None: they are `scores`.
      binary: the targets must be 0 or 1.
      note: a line that a run says at its start, on what this cell cannot do.
      memory: the leaf of the state, (slots, width), whose rows are the slots of an external
        memory; it is probed. None: the cell has none.
      memory_weights: the leaves, (heads, slots), that say where heads read and write.
    """

    name: str
    input_size: int
    output_size: int
    init: Callable[[Key], Params]
    init_state: Callable[[Params], State]
    transition: Callable[[Params, State, Array], State]
    output: Callable[[Params, State, Array], Array] = hidden_output
    gates: Callable[[Params, State, Array], dict[str, Array]] = no_gates
    kept_fraction: Callable[[Mapping[str, Array]], Array] | None = None
    recurrent_matrices: Callable[[Params], dict[str, Array]] | None = None
    counters: tuple[str, ...] | None = None
    prepare: Callable[[Params], Params] = as_they_are
    parameter_count: int
    hidden: str = "h"
    probed: tuple[str, ...] = ("h",)
    states: States | None = None
    delay_steps: int = 0
    feedback: str | None = None
    kernel: str | None = None
    kernel_weights: Callable[[Params], Params] = as_they_are
    is_network: bool = False
    axis: str = "time"
    steps: int = 0
    context: Callable[[Params, Tree], dict[str, Array]] | None = None
    start: Callable[[Params], State] | None = None
    persistent: bool = False
    attention: Callable[[Params, State], Array] | None = None
    linear_start_steps: int = 0
    scores: NetworkScores | None = None
    evaluation_scores: NetworkScores | None = None
    binary: bool = False
    note: str = ""
    memory: str | None = None
    memory_weights: tuple[str, ...] = ()

    def step(self, params: Params, state: State, x_I: Array) -> tuple[State, Array]:
        """One step of one example: `(state, x) -> (state, y)`."""
        new_state = self.transition(params, state, x_I)
        return new_state, self.output(params, new_state, x_I)

    def counters_of(self, params: Params) -> tuple[str, ...]:
        """The leaves of the state that only count steps."""
        if self.counters is not None:
            return self.counters
        shapes = jax.eval_shape(self.init_state, params)
        return tuple(k for k, leaf in shapes.items() if leaf.ndim == 0 and k not in self.probed)
