"""A recurrent layer: a cell and its parameters as a Flax NNX module."""

from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.types import Array, Key, Params
from rnnexp.unroll import Probe, Unrolled, unroll


class Recurrent(nnx.Module):
    """Holds a cell's parameters, one `nnx.Param` a name, and unrolls it over time.

    The module owns parameters only; states and randomness are passed in per call.
    """

    def __init__(self, cell: Cell, key: Key):
        self.cell = cell
        for name, value in cell.init(key).items():
            setattr(self, name, nnx.Param(value))

    def params(self) -> Params:
        """The cell's parameters as a plain dict."""
        params: Params = nnx.to_pure_dict(nnx.state(self, nnx.Param))
        return params

    def __call__(
        self,
        x_TxBxI: Array,
        *,
        lengths_B: Array | None = None,
        probe: Probe | None = None,
    ) -> Unrolled:
        """Run the layer over a batch of sequences; see `unroll`."""
        return unroll(self.cell, self.params(), x_TxBxI, lengths_B=lengths_B, probe=probe)
