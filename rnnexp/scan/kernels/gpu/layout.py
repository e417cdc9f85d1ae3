"""The layout of a recurrence on a GPU: the rows of a program, and the weights that it holds.

A program (a block of threads, on one multiprocessor) computes all steps of some sequences of
the batch, so programs never wait for each other. It holds their states in registers and, up
to `HELD` bytes, the recurrent matrices W_h, gate by gate. It reads the other gates at every
step from the second-level cache, which has all of them. (Pallas compiles this to Triton, which
can neither divide a matrix over programs, as they cannot synchronise at every step, nor
control the content of shared memory.)

There are two ways to multiply:

* "float32" multiplies and adds in float32, without tensor cores. A program has 4 rows, or 1
  where the weights fill the registers, so that more multiprocessors work.
* "tf32" and "bf16" use tensor cores, which take 16 rows: factors are cut to 10 and rounded to
  7 bits of mantissa, sums are float32. Few programs work, but many runs fit side by side.

KiB of W_h (lstm, gru, rnn) at H hidden units, padded to a power of 2, of 256 KiB of registers:

| H | float32, tf32 | held | bf16 | held |
| --- | --- | --- | --- | --- |
| 32 | 16, 12, 4 | all | 8, 6, 2 | all |
| 64 | 64, 48, 16 | all | 32, 24, 8 | all |
| 128 | 256, 192, 64 | 2 gates of lstm; gru, rnn all | 128, 96, 32 | all |
| 256 | 1024, 768, 256 | not offered | 512, 384, 128 | rnn; others not offered |

These numbers are from compilations for compute capability 9.0, in which the held weights stay
in the registers, but for some at 128 with tensor cores. Wider cells would read so much at
every step, at some 64 bytes a clock, that a scan over cuBLAS's products is as fast.
"""

from typing import NamedTuple

from rnnexp.scan.kernels.gpu.cells import CELLS

PRECISIONS = ("float32", "tf32", "bf16")
KIB = 1024
HELD = 192 * KIB
"""The most bytes of weights that a program holds if they are all of the cell's."""
HELD_OF_MORE = 128 * KIB
"""The same if they are not: weights that are being read need registers too."""
MOST, WIDEST = 256 * KIB, 128 * KIB
"""The most bytes of a cell's recurrent weights, and of one gate's, for which it has a kernel."""
TENSOR_CORE_ROWS = 16


class KernelLayout(NamedTuple):
    """One kernel's layout.

    Attributes:
      padded: hidden units, padding included.
      rows: sequences of a program.
      held: gates whose weights are held.
      warps: groups of 32 threads of a program.
      precision: of the products, one of `PRECISIONS`.
    """

    padded: int
    rows: int
    held: int
    warps: int
    precision: str


def layout(cell: str, hidden_size: int, precision: str) -> KernelLayout:
    """The layout for a cell of `cells.CELLS`."""
    padded, gates = padded_size(hidden_size), CELLS[cell].gates
    tile = gate_bytes(hidden_size, precision)
    held = gates if gates * tile <= HELD else HELD_OF_MORE // tile
    if precision != "float32":
        warps = 8 if gates * tile >= 32 * KIB else 4
        return KernelLayout(padded, TENSOR_CORE_ROWS, held, warps, precision)
    warps = 8 if gates * tile >= 32 * KIB else 4 if padded > 16 else 2
    return KernelLayout(padded, 4 if padded <= 64 else 1, held, warps, precision)


def padded_size(hidden_size: int) -> int:
    """Hidden units, padded to a power of 2, which the kernels need."""
    return max(16, 1 << (hidden_size - 1).bit_length())


def gate_bytes(hidden_size: int, precision: str) -> int:
    """Bytes of one gate's recurrent weights."""
    return padded_size(hidden_size) ** 2 * (2 if precision == "bf16" else 4)


def too_wide(cell: str, hidden_size: int, precision: str) -> bool:
    """Whether a cell (of `cells.CELLS`) of that size has no kernel."""
    tile = gate_bytes(hidden_size, precision)
    return tile > WIDEST or CELLS[cell].gates * tile > MOST
