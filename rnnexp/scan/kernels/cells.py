"""The kernels of a processor by name: what each is called in C++, and the operands that it takes.

A cell names its kernel in `Cell.kernel`, and gives it its weights by `Cell.kernel_weights`. Which
of them there are for graphics processors too is in `gpu.cells`.
"""

from typing import NamedTuple


class KernelCell(NamedTuple):
    """A kernel's cell.

    Attributes:
      native: the name of its struct in `native/`.
      gates: number of blocks of its matrices.
      recurrent: units read each other, by `w_h`.
      own: number of weights, the rows of `p`, with which a unit reads its own state alone.
      has_c: there is a cell state.
      has_hn: the candidate has a bias of its own, `b_hn`, in its recurrent part.
    """

    native: str
    gates: int
    recurrent: bool = True
    own: int = 0
    has_c: bool = False
    has_hn: bool = False

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of its weights."""
        there = (self.recurrent, True, self.has_hn, self.own > 0)
        more = (n for n, is_there in zip(("w_h", "b", "b_hn", "p"), there, strict=True) if is_there)
        return ("w_x", *more)

    @property
    def leaves(self) -> tuple[str, ...]:
        """The leaves of its state."""
        return ("h", "c") if self.has_c else ("h",)


CELLS = {
    "lstm": KernelCell("LstmCell", 4, has_c=True),
    "lstm_peephole": KernelCell("PeepholeLstmCell", 4, own=3, has_c=True),
    "lstm_coupled": KernelCell("CoupledLstmCell", 3, has_c=True),
    "lstm_coupled_peephole": KernelCell("CoupledPeepholeLstmCell", 3, own=2, has_c=True),
    "gru": KernelCell("GruCell", 3, has_hn=True),
    "gru_before": KernelCell("ResetBeforeGruCell", 3),
    "minimal_gated": KernelCell("MinimalGatedCell", 2),
    "tanh": KernelCell("TanhCell", 1),
    "relu": KernelCell("ReluCell", 1),
    "linear": KernelCell("LinearCell", 1),
    "indrnn": KernelCell("IndRnnCell", 1, recurrent=False, own=1),
    "min_gru": KernelCell("MinGruCell", 2, recurrent=False),
    "min_gru_positive": KernelCell("PositiveMinGruCell", 2, recurrent=False),
    "min_lstm": KernelCell("MinLstmCell", 3, recurrent=False),
    "min_lstm_positive": KernelCell("PositiveMinLstmCell", 3, recurrent=False),
}
