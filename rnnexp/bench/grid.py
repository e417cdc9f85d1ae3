"""The grid of the benchmark: many sizes, and what else a network can be, at one size.

Steps are as many as a training step of an LSTM with some 20 Gflop has, at most and at least some.
"""

from collections.abc import Sequence

from rnnexp.bench.contender import PEERS
from rnnexp.bench.measure import MAIN, TimedRow
from rnnexp.bench.workloads import Workload, step_flops

CONTENDERS = (MAIN, *PEERS)
HIDDEN_SIZES = (16, 64, 256, 1024, 2048)
BATCH_SIZES = (1, 8, 64, 512)
STEPS = (28, 100, 784, 4000)
INPUT_SIZE = 32
MOST_FLOPS = 2e10
BASE = Workload("base", "one layer", 200, 64, INPUT_SIZE, 128)
VARIANTS = (
    BASE,
    BASE._replace(name="layers", title="three layers", layers=3),
    BASE._replace(name="both ways", title="both directions", both_ways=True),
    BASE._replace(name="lengths", title="lengths from T/4 to T", lengths=True),
    BASE._replace(name="unrecorded", title="without recording", record=False),
    BASE._replace(name="evaluation", title="evaluation", train=False),
    BASE._replace(name="short", title="T = 28", steps=28),
    BASE._replace(name="long", title="T = 4,000", steps=4000),
)


def sizes() -> list[Workload]:
    """The workloads of all sizes."""
    return [_of_size(h, b) for h in HIDDEN_SIZES for b in BATCH_SIZES]


def _of_size(hidden_size: int, batch_size: int) -> Workload:
    """A workload of as many steps as its size leaves."""
    name = f"H{hidden_size} B{batch_size}"
    for steps in reversed(STEPS):
        work = Workload(name, "of the grid", steps, batch_size, INPUT_SIZE, hidden_size)
        if step_flops(work, "lstm") <= MOST_FLOPS:
            break
    return work


def size_table(rows: Sequence[TimedRow], cell: str) -> list[dict[str, object]]:
    """The fastest peer's time over rnnexp's: a line a hidden size, a column a batch size."""
    there = {(r.work.hidden_size, r.work.batch_size): r for r in rows if r.cell == cell}
    return [
        {cell: f"H = {h}", **{f"B = {b}": _ratio(there.get((h, b))) for b in BATCH_SIZES}}
        for h in HIDDEN_SIZES
        if any(place[0] == h for place in there)
    ]


def variant_table(rows: Sequence[TimedRow]) -> list[dict[str, object]]:
    """The fastest peer's time over rnnexp's: a line a variant, a column a cell."""
    cells = list(dict.fromkeys(row.cell for row in rows))
    there = {(row.work, row.cell): row for row in rows}
    works = list(dict.fromkeys(row.work for row in rows))
    return [
        {"variant": work.title, **{cell: _ratio(there.get((work, cell))) for cell in cells}}
        for work in works
    ]


def _ratio(row: TimedRow | None) -> str:
    if row is None or (peer := row.fastest_peer()) is None:
        return ""
    return f"{row.ratio(peer):.2f} ({peer.partition('.')[0]}, T {row.work.steps})"
