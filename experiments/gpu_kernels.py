"""The fused kernels on a graphics processor: are they right, how exact, and how fast.

    python experiments/gpu_kernels.py --out gpu.json

One call does all of it, and writes what it has after every measurement:

* errors of values, gradients and adjoints at the benchmark's shapes, for every cell and
  precision, against the scan in float64 on the same device, and those of the scan in float32;
* the time of a training step (forward, backward, SGD; `rnnexp.bench.workloads` has the sizes):
  the fused kernels, the scan, cuDNN through `jax.experimental.rnn` and through torch, where
  they are there; all in turn, the median over rounds;
* 32 runs of W4 side by side (`vmap`) against one;
* with `--layouts`: other ways to lay the work out than `rnnexp.scan.kernels.gpu.layout` chooses;
* W5: the associative scan of linear cells against their scan over time.

Without a graphics processor it says so, checks the mathematics at small sizes in Pallas's
interpreter, writes "gpu": null and times nothing. Expected on an H100: about ten minutes;
after `--seconds` nothing new is begun.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.bench.gpu_errors import KINDS, errors
from rnnexp.bench.gpu_times import KERNELS, contenders, in_jax, laid_out, ours, timed
from rnnexp.bench.workloads import WORKLOADS, Workload, find_workloads
from rnnexp.cells import CELLS
from rnnexp.core.types import Array, Params
from rnnexp.scan.kernels.gpu.layout import PRECISIONS, layout, too_wide
from rnnexp.scan.unroll import TimeLoop, unroll

SMALL = Workload("small", "for the interpreter", 6, 5, 3, 10)
LANES = 32


class Report:
    """What was measured; in the file as soon as it is known."""

    def __init__(self, file: Path | None, seconds: float):
        self.file, self.ends = file, time.monotonic() + seconds
        self.data: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}

    def add(self, section: str, row: dict[str, Any]) -> None:
        """One row more of a section."""
        print(section, json.dumps(row), flush=True)
        self.data.setdefault(section, []).append(row)
        self.write()

    def write(self) -> None:
        """Bring the file up to date."""
        if self.file is not None:
            self.file.write_text(json.dumps(self.data, indent=2) + "\n")

    def time_is_left(self, what: str) -> bool:
        """Whether something new may begin; what may not is noted."""
        if time.monotonic() < self.ends:
            return True
        self.data.setdefault("left_out", []).append(what)
        self.write()
        return False


def check(report: Report, work: Workload, kind: str) -> None:
    """Errors; of some workloads with sequences that end early."""
    for row in errors(work, kind, full=work.name in ("W1", "W3")):
        report.add("errors", row)


def time_lanes(report: Report, kind: str, rounds: int) -> None:
    """One run of W4, and 32 side by side in one program, in every precision."""
    work = WORKLOADS["W4"]
    cell = CELLS.entry(kind).factory()(work.input_size, work.hidden_size)
    for precision in PRECISIONS:
        how = TimeLoop(kernel=True, fused=precision)

        def outputs(params: Params, x_TxBxI: Array, how: TimeLoop = how) -> Array:
            return unroll(cell, params, x_TxBxI, time_loop=how).final_BxH

        def many(params: Params, x_TxBxI: Array, outputs: Any = outputs) -> Array:
            runs = jax.vmap(outputs, in_axes=(0, None))(params, x_TxBxI)
            return jnp.mean(runs, axis=0)  # one loss of all, so that each has a gradient

        keys = jax.random.split(jax.random.key(0), LANES)
        stacked = jax.vmap(cell.init)(keys)
        makers = {
            "one": partial(in_jax, outputs, cell.init(keys[0]), work),
            "side by side": partial(in_jax, many, stacked, work),
        }
        times = timed(makers, rounds)
        report.add("lanes", {"cell": kind, "precision": precision, "lanes": LANES} | times)


def time_layouts(report: Report, work: Workload, kind: str, rounds: int) -> None:
    """Neighbours of the chosen layout."""
    for precision in PRECISIONS:
        if too_wide(KERNELS[kind], work.hidden_size, precision):
            continue
        chosen = layout(KERNELS[kind], work.hidden_size, precision)
        rows = (1, 2, 4, 8) if precision == "float32" else (16,)
        shapes = {
            chosen._replace(rows=r, warps=w, held=h)
            for r in rows
            for w in (4, 8, 16)
            for h in {max(chosen.held - 1, 0), chosen.held}
        }
        for shape in sorted(shapes):
            if report.time_is_left(f"layout {shape}"):
                times = timed({"ms": partial(laid_out, work, kind, shape)}, rounds)
                row = {"work": work.name, "cell": kind, "chosen": shape == chosen}
                report.add("layouts", row | shape._asdict() | times)


def time_linear(report: Report, rounds: int) -> None:
    """W5 with linear cells: all steps at once, and step by step."""
    for kind in ("lru", "min_gru"):
        makers = {
            "associative": partial(ours, WORKLOADS["W5"], kind, TimeLoop(associative=True)),
            "scan": partial(ours, WORKLOADS["W5"], kind, TimeLoop()),
        }
        if report.time_is_left(f"W5, {kind}"):
            report.add("linear", {"work": "W5", "cell": kind} | timed(makers, rounds))


def ratios(times: dict[str, Any]) -> dict[str, Any]:
    """TimeLoop many times the time of the exact fused kernel every other one takes."""
    mine = times.get("fused, float32")
    known = {name: ms for name, ms in times.items() if isinstance(ms, float)}
    if not isinstance(mine, float):
        return {}
    return {"times of fused, float32": {name: ms / mine for name, ms in known.items()}}


def surroundings() -> dict[str, Any]:
    """The device, or null, and versions."""
    device = jax.devices()[0]
    packages = {}
    for name in ("jax", "jaxlib", "jax-cuda13-plugin", "nvidia-cudnn-cu13", "torch", "numpy"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = ""
    gpu = device.device_kind if device.platform == "gpu" else None
    return {"gpu": gpu, "versions": packages, "python": sys.version.split()[0]}


def main() -> None:
    """Everything that the device allows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="the JSON file")
    parser.add_argument("--seconds", type=float, default=780.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--works", default="W4,W1,W2,W3")
    parser.add_argument("--layouts", action="store_true")
    known = parser.parse_args()
    report = Report(known.out, known.seconds)
    report.data |= surroundings()
    report.write()
    if report.data["gpu"] is None:
        print("no graphics processor: small checks in the interpreter, nothing is timed")
        for kind in KINDS:
            check(report, SMALL, kind)
        return
    works = find_workloads(known.works)
    for kind in KINDS:
        check(report, SMALL, kind)
    for kind in ("lstm", "gru", "rnn"):
        for work in works:
            if report.time_is_left(f"errors of {kind} at {work.name}"):
                check(report, work, kind)
            if report.time_is_left(f"times of {kind} at {work.name}"):
                times = timed(dict(contenders(work, kind)), known.rounds)
                report.add("times", {"work": work.name, "cell": kind} | times | ratios(times))
        if report.time_is_left(f"lanes of {kind}"):
            time_lanes(report, kind, known.rounds)
    time_linear(report, known.rounds)
    for work in works if known.layouts else ():
        time_layouts(report, work, "lstm", known.rounds)


if __name__ == "__main__":
    main()
