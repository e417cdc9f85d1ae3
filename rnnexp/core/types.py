"""Aliases for arrays and trees, the legend of the shape letters, and the project's words.

A name such as `x_TxBxI` carries its shape. The letters, everywhere in the project:

| letter | axis |
| --- | --- |
| T | time: steps of a sequence |
| B | batch: examples side by side |
| I | input features of a step |
| H | hidden units of a cell |
| O | outputs of a step: classes, or regression targets |
| L | layers of a stack |
| N | examples of a data set |
| S | flattened state of a cell |
| U | time: symbols of one target sequence, where that is not T |
| K | taps of a delay line |
| M | slots of a memory, sentences of a story, stored patterns; numbers of a message |
| V, E, R, K | of a graph its nodes, edges, types of edges, and kinds (types and directions) |
| J | words of a sentence |

The words, in the code as in the prose:

| word | means |
| --- | --- |
| cell | a recurrent cell: pure functions over one example and one step |
| task | where batches come from, how outputs are scored, what chance scores |
| mode | the kind of input and output: sequence_to_one, synchronous, story_to_answer, ... |
| axis | what the steps of a cell are: time, hop (of a memory network), update, ... |
| context | what is fixed for an example while its state is updated: a story, stored patterns |
| head | how features become outputs, or a distribution that scores itself |
| unit | a cell in a model, with a name: `layer_0`, `encoder_layer_1_backward` |
| leaf | one array of a tree: a cell's state has the leaves `h`, `c`, ... |
| state | what a unit carries from one time step to the next |
| trajectory | a unit's inputs, its initial state and its states after every step |
| time step, lag | a position in a sequence; how many time steps before its end that is |
| training step | one update of the parameters; steps are counted from 0 |
| time loop | how a unit runs along the time axis: scan, kernel, parallel, in segments |
| adjoint | dL/ds_t, the gradient of the loss by a state |
| profile | norms of the adjoints of a unit, by time step |
| probe | a function of a unit's state after every step, to measure or change it |
| program | a compiled function; runs share one if they differ in seed and traced values |
| traced value | a hyperparameter that is an argument of the program, such as the learning rate |
| chunk | many training steps in one call of a program |
| lane | one of several runs that a program trains side by side |
| run | one training, from its configuration and seed to its end, and its directory |
| record | what a training step logs: scalars, and norms of adjoints |
| sweep | many runs from one line; its groups are the runs that share a program |
| laboratory | what is measured beside training: exponents, Jacobian products, gates |
| baseline | the score of a known predictor, such as the best without memory |
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax

Array: TypeAlias = jax.Array
Key: TypeAlias = jax.Array
Tree: TypeAlias = Any
"""Any pytree of arrays."""
Params: TypeAlias = Mapping[str, Any]
State: TypeAlias = Mapping[str, Array]
"""A cell's state: its leaves by name, `{"h": h}` or `{"c": c, "h": h}`."""


class Batch(NamedTuple):
    """Sequences side by side. Lengths (valid steps, int32) are None when all are full.

    Inputs that are one symbol of I a step may be the symbols' numbers, (T, B) int32: a model reads
    them one-hot, or by its embedding.

    `target_lengths_B` counts the valid symbols of `targets` where those have a time
    axis of their own (asynchronous tasks), the stop symbol included. `context` is a tree of
    what is fixed for an example, with the batch as the first axis of every leaf.
    """

    inputs_TxBxI: Array
    targets: Array
    lengths_B: Array | None = None
    target_lengths_B: Array | None = None
    context: Tree = None
