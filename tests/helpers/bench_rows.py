"""A row of a benchmark as it would have been measured."""

from rnnexp.bench.floor import Rates
from rnnexp.bench.measure import TimedRow
from rnnexp.bench.workloads import WORKLOADS

TINY = WORKLOADS["tiny"]


def row() -> TimedRow:
    times = {"rnnexp": [1.0, 2.0, 4.0], "flax.linen.RNN": [3.0, 4.0, 10.0], "torch.nn": [9.0] * 3}
    return TimedRow(TINY, "lstm", times, {"flax.nnx.RNN": "it broke"}, 1e9, Rates(4e9, 1e12))
