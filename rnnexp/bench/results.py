"""The results of a benchmark as tables and data."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rnnexp.bench.measure import MAIN, TimedRow
from rnnexp.bench.workloads import step_bytes, step_flops

PACKAGES = ("rnnexp", "jax", "jaxlib", "flax", "torch", "numpy")


def table(row: TimedRow) -> list[dict[str, object]]:
    """A line for each contender: time, what it reaches of what the machine can do, of XLA's matrix
    rate, and time over rnnexp's."""
    lines: list[dict[str, object]] = [
        {
            "contender": name,
            "ms a step": row.median(name),
            "of the machine": "" if row.machine is None else f"{100 * row.share(name):.0f} %",
            "of XLA's products": f"{100 * row.share_of_xla(name):.0f} %",
            f"times {MAIN}": f"{row.ratio(name):.2f}",
        }
        for name in row.times
    ]
    for name in row.failed:
        lines.append({**dict.fromkeys(lines[0], ""), "contender": name, "ms a step": "failed"})
    return lines


def title(row: TimedRow) -> str:
    """The workload in words, what the machine can do, and the time that a step takes at least."""
    work = row.work
    sizes = (
        f"{work.name} {work.title}, {row.cell}: T {work.steps}, batch {work.batch_size}, input "
        f"{work.input_size}, hidden {work.hidden_size}; XLA's products "
        f"{row.xla_rate / 1e9:.0f} Gflop/s"
    )
    if row.machine is None:
        return sizes
    return (
        f"{sizes}, the processor {row.machine.flops / 1e9:.0f} Gflop/s and "
        f"{row.machine.bytes / 1e9:.0f} GB/s, so a step takes at least {row.floor_ms():.3g} ms"
    )


def loop_text(row: TimedRow) -> str:
    """The cost of the training loop over its compiled step, in words; empty if not measured."""
    if (cost := row.loop_cost()) is None:
        return ""
    return (
        f"the training loop (data, metrics and gradient profiles every 10 steps) costs {cost:+.1%} "
        "over the bare step"
    )


def summary(rows: Sequence[TimedRow]) -> list[dict[str, object]]:
    """The fastest peer's time over rnnexp's, by cell and workload."""
    works = list(dict.fromkeys(row.work.name for row in rows))
    lines: list[dict[str, object]] = []
    for cell in dict.fromkeys(row.cell for row in rows):
        line: dict[str, object] = {"fastest peer / rnnexp": cell}
        for row in (row for row in rows if row.cell == cell):
            peer = row.fastest_peer()
            line[row.work.name] = "no peer" if peer is None else f"{row.ratio(peer):.2f} ({peer})"
        lines.append({**line, **{name: "" for name in works if name not in line}})
    return lines


def as_data(rows: Sequence[TimedRow], *, rounds: int, seconds: float) -> dict[str, Any]:
    """All results, with the machine, the versions and the date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version(), **_versions()},
        "rounds": rounds,
        "seconds": seconds,
        "rows": [
            {
                **row.work._asdict(),
                "cell": row.cell,
                "flops_a_step": step_flops(row.work, row.cell),
                "bytes_a_step": step_bytes(row.work, row.cell),
                "xla_matrix_rate": row.xla_rate,
                "machine": None if row.machine is None else row.machine._asdict(),
                "ms": row.times,
                "times_rnnexp": {name: row.ratio(name) for name in row.times},
                "loop_cost": row.loop_cost(),
                "failed": row.failed,
            }
            for row in rows
        ],
    }


def processor() -> str:
    """The processor's name, from the system if it states one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
