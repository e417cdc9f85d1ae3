"""A stack of recurrent layers with a head, in all modes but the asynchronous one.

Where an example has one output, the top layer is read at the last valid step, or its mean or
maximum over the valid steps; `synchronous` reads it at every step. Asynchronous tasks have
`rnnexp.models.transduction`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.masking import valid_steps
from rnnexp.core.registry import MODES, TO_ONE
from rnnexp.core.types import Array, Key, State
from rnnexp.models.embedding import as_features, embedding, tied_to
from rnnexp.models.forward import EVALUATION, ForwardOptions
from rnnexp.models.heads.linear import linear
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.stack import MakeCell, Stack, Unit
from rnnexp.models.structure import Structure
from rnnexp.scan.newton.solve import NewtonStats
from rnnexp.scan.unroll import Trajectory


class Modelled(NamedTuple):
    """A model's results for a batch: outputs (features, for a head that scores itself), and of
    every unit the final state, the trajectory if kept, and the statistics of Newton's iteration."""

    outputs: Array
    states: list[State]
    trajectories: Sequence[Trajectory] = ()
    newton_stats: Sequence[NewtonStats | None] = ()


MakeHead = Callable[[int, int, Key, Recurrent], Any]
"""`(feature_size, output_size, key, top) -> nnx.Module`, `top` being the stack's top layer; see
`rnnexp.models.heads`."""


def linear_head(feature_size: int, output_size: int, key: Key, top: Recurrent) -> nnx.Linear:
    """The default head, which has nothing to do with the layer's parameters."""
    del top
    return linear(feature_size, output_size, key)


class SequenceModel(nnx.Module):
    """Stack of recurrent layers and a head.

    Args:
      make_cell: `(input_size, layer) -> Cell`, called once a unit.
      mode: any of `rnnexp.core.registry.MODES` but `asynchronous`.
    """

    def __init__(
        self,
        make_cell: MakeCell,
        *,
        structure: Structure,
        input_size: int,
        output_size: int,
        mode: str,
        key: Key,
        make_head: MakeHead = linear_head,
    ):
        require_choice("mode", mode, [known for known in MODES if known != "asynchronous"])
        key_readout, key_stack = jax.random.split(key)
        self.input_size, size = input_size, structure.embedding_size
        self.embedding = embedding(input_size, size, key) if size else None
        self.stack = Stack(
            make_cell, structure=structure, input_size=size or input_size, key=key_stack
        )
        cell = self.stack.layers[-1].cell
        self.reads = not cell.is_network
        if self.reads:
            if structure.tied_output:
                make_head = tied_to(self.embedding)
            top = self.stack.layers[-1]
            self.readout = make_head(self.stack.output_size, output_size, key_readout, top)
        elif len(self.stack.layers) > 1 or structure.pooling != "last":
            raise UsageError(
                f"cell {cell.name!r} is a whole network: it takes config.model.num_layers=1, "
                "no second direction and config.model.pooling='last'"
            )
        self.head_scores = self.reads and hasattr(self.readout, "scores")
        self.mode = mode
        self.to_one = mode in TO_ONE
        self.own_steps = self.stack.layers[0].cell.steps
        self.pooling = structure.pooling

    def units(self) -> list[Unit]:
        """The stack's cells with their names."""
        return self.stack.units()

    def __call__(self, inputs_TxBxI: Array, options: ForwardOptions = EVALUATION) -> Modelled:
        """Outputs (B, O) or, with one a step, (T, B, O); features if the head scores itself.

        Inputs may be numbers of symbols, (T, B).
        A cell that makes steps on an axis of its own reads no inputs.
        """
        lengths_B = options.lengths_B
        inputs_TxBxI = as_features(inputs_TxBxI, self.input_size, self.embedding, lengths_B)
        if self.own_steps:
            inputs_TxBxI = jnp.zeros((self.own_steps, *inputs_TxBxI.shape[1:]), inputs_TxBxI.dtype)
            options = options._replace(lengths_B=None)
        top = self.stack(inputs_TxBxI, options)
        read = top.outputs_TxBxH
        if self.to_one:
            read = pool(self.pooling, read, top.final_BxH, options.lengths_B)
        outputs = self.readout(read) if self.reads and not self.head_scores else read
        return Modelled(outputs, top.states, top.trajectories, top.newton_stats)


def pool(name: str, x_TxBxH: Array, final_BxH: Array, lengths_B: Array | None) -> Array:
    """One vector a sequence: its last valid output, or the mean or maximum of all valid ones."""
    if name == "last":
        return final_BxH
    steps, batch_size, _ = x_TxBxH.shape
    if lengths_B is None:
        lengths_B = jnp.full(batch_size, steps, jnp.int32)
    valid_TxBx1 = valid_steps(steps, lengths_B)[:, :, None]
    if name == "max":
        # The gradient of jnp.max compares values again, which compiled code may recompute
        # with other rounding; an index is the same in both passes.
        masked = jnp.where(valid_TxBx1, x_TxBxH, jnp.full_like(x_TxBxH, -jnp.inf))
        index_1xBxH = jnp.argmax(masked, axis=0, keepdims=True)
        return jnp.take_along_axis(x_TxBxH, index_1xBxH, axis=0)[0]
    total_BxH = jnp.sum(jnp.where(valid_TxBx1, x_TxBxH, jnp.zeros_like(x_TxBxH)), 0)
    return total_BxH / lengths_B.astype(x_TxBxH.dtype)[:, None]
