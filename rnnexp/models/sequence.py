"""A stack of recurrent layers with a linear readout, in the sequence modes.

`sequence_to_one` reads the top layer's output at each sequence's last valid step;
`synchronous` reads it at every step.
"""

from collections.abc import Callable, Sequence

import jax
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.errors import require_choice
from rnnexp.models.recurrent import Recurrent
from rnnexp.tables import MODES
from rnnexp.types import Array, Key
from rnnexp.unroll import Probe


class SequenceModel(nnx.Module):
    """Stack of recurrent layers and a linear readout.

    Args:
      make_cell: `input_size -> Cell`, called once a layer.
      num_layers: depth of the stack, at least 1.
      mode: `sequence_to_one` or `synchronous`.
    """

    def __init__(
        self,
        make_cell: Callable[[int], Cell],
        *,
        num_layers: int,
        input_size: int,
        output_size: int,
        mode: str,
        key: Key,
    ):
        require_choice("mode", mode, MODES)
        key_readout, *keys = jax.random.split(key, num_layers + 1)
        layers, size = [], input_size
        for layer_key in keys:
            layers.append(Recurrent(make_cell(size), layer_key))
            size = layers[-1].cell.output_size
        self.layers = nnx.List(layers)
        self.readout = nnx.Linear(
            size,
            output_size,
            param_dtype=jax.dtypes.canonicalize_dtype(float),
            kernel_init=nnx.initializers.glorot_uniform(),
            rngs=nnx.Rngs(params=key_readout),
        )
        self.mode = mode

    def cells(self) -> list[Cell]:
        """The layers' cells, bottom first."""
        return [layer.cell for layer in self.layers]

    def __call__(
        self,
        inputs_TxBxI: Array,
        *,
        lengths_B: Array | None = None,
        probes: Sequence[Probe | None] | None = None,
    ) -> Array:
        """Outputs (B, O) or, in synchronous mode, (T, B, O); `probes` is one a layer."""
        x_TxBxH = inputs_TxBxI
        for layer, probe in zip(self.layers, probes or [None] * len(self.layers), strict=True):
            unrolled = layer(x_TxBxH, lengths_B=lengths_B, probe=probe)
            x_TxBxH = unrolled.outputs_TxBxH
        top = unrolled.final_BxH if self.mode == "sequence_to_one" else x_TxBxH
        outputs: Array = self.readout(top)
        return outputs
