"""The results of a benchmark as tables, data and a figure."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rnnexp.bench.measure import MAIN, TimedRow
from rnnexp.bench.workloads import step_flops

PACKAGES = ("rnnexp", "jax", "jaxlib", "flax", "torch", "numpy")


def table(row: TimedRow) -> list[dict[str, object]]:
    """A line for each contender: time, fraction of the matrix rate, and time over rnnexp's."""
    lines: list[dict[str, object]] = [
        {
            "contender": name,
            "ms a step": row.median(name),
            "of the matrix rate": f"{100 * row.share(name):.0f} %",
            f"times {MAIN}": f"{row.ratio(name):.2f}",
        }
        for name in row.times
    ]
    return lines + [
        {"contender": name, "ms a step": "failed", "of the matrix rate": "", f"times {MAIN}": ""}
        for name in row.failed
    ]


def title(row: TimedRow) -> str:
    """The workload in words, with the time of its matrix products."""
    work = row.work
    floor_ms = 1e3 * step_flops(work, row.cell) / row.rate
    return (
        f"{work.name} {work.title}, {row.cell}: T {work.steps}, batch {work.batch_size}, input "
        f"{work.input_size}, hidden {work.hidden_size}; matrix rate {row.rate / 1e9:.0f} "
        f"Gflop/s, so the products alone take {floor_ms:.3g} ms"
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
                "matrix_rate": row.rate,
                "ms": row.times,
                "times_rnnexp": {name: row.ratio(name) for name in row.times},
                "loop_cost": row.loop_cost(),
                "failed": row.failed,
            }
            for row in rows
        ],
    }


def draw(rows: Sequence[TimedRow], file: Path) -> None:
    """Draw each contender's time over rnnexp's, with a panel for each workload."""
    from rnnexp.report.figures import COLOURS, new_figure, save

    works = list(dict.fromkeys(row.work for row in rows))
    names = [name for name in dict.fromkeys(n for row in rows for n in row.times) if name != MAIN]
    figure = new_figure((3.2 * len(works) + 1.5, 3.2))
    panels = figure.subplots(1, len(works), squeeze=False, sharey=True)[0]
    for axes, work in zip(panels, works, strict=True):
        here = [row for row in rows if row.work == work]
        for number, name in enumerate(names):
            there = [(place, row) for place, row in enumerate(here) if name in row.times]
            places = [p + (number - len(names) / 2 + 0.5) * 0.8 / len(names) for p, _ in there]
            ratios, colour = [row.ratio(name) for _, row in there], COLOURS[number % len(COLOURS)]
            axes.bar(places, ratios, 0.8 / len(names), color=colour, label=name)
        axes.axhline(1, color="0.3", linewidth=1)
        axes.set_xticks(range(len(here)), [row.cell for row in here])
        axes.set_title(f"{work.name} {work.title}")
    panels[0].set_ylabel(f"time, times that of {MAIN}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    save(figure, file)


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
