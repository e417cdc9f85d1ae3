"""Runs contenders in turn, each in its own process, and compares them pairwise."""

import json
import logging
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from rnnexp.bench.contender import CONTENDERS, FLOOR, PEERS, missing
from rnnexp.bench.floor import Rates
from rnnexp.bench.workloads import Workload, step_bytes, step_flops
from rnnexp.core.errors import RunError

log = logging.getLogger("rnnexp")
MAIN = "rnnexp"
BARE = "rnnexp, bare step"


class TimedRow(NamedTuple):
    """The measurements of one cell at one workload.

    Attributes:
      times: by contender, the milliseconds of a training step in each round.
      failed: the contenders that failed, and their errors.
      xla_rate: operations a second of XLA's matrix products at this size.
      machine: what the processor and its memory can do; None if it was not measured.
    """

    work: Workload
    cell: str
    times: dict[str, list[float]]
    failed: dict[str, str]
    xla_rate: float
    machine: Rates | None = None

    def median(self, name: str) -> float:
        """Milliseconds of a contender's step, the median over the rounds."""
        return statistics.median(self.times[name])

    def ratio(self, name: str) -> float:
        """A contender's time over rnnexp's, the median of the rounds' ratios."""
        pairs = zip(self.times[name], self.times[MAIN], strict=True)
        return statistics.median(other / mine for other, mine in pairs)

    def floor_ms(self) -> float:
        """The milliseconds that a step takes at least: those of its multiply-adds at the rate of
        the processor, or of its bytes at that of memory; NaN if these were not measured."""
        if self.machine is None:
            return math.nan
        of_products = step_flops(self.work, self.cell) / self.machine.flops
        return 1e3 * max(of_products, step_bytes(self.work, self.cell) / self.machine.bytes)

    def share(self, name: str) -> float:
        """The floor as a fraction of a contender's time."""
        return self.floor_ms() / self.median(name)

    def share_of_xla(self, name: str) -> float:
        """The fraction of the rate of XLA's matrix products that a contender reaches."""
        return step_flops(self.work, self.cell) / (self.median(name) * 1e-3) / self.xla_rate

    def loop_cost(self) -> float | None:
        """The fraction by which a step in the training loop takes longer than a bare step.

        It is the median over the rounds; None if either was not measured.
        """
        if BARE not in self.times or not self.times[MAIN]:
            return None
        pairs = zip(self.times[MAIN], self.times[BARE], strict=True)
        return statistics.median(mine / bare for mine, bare in pairs) - 1

    def fastest_peer(self) -> str | None:
        """The contender of another library with the lowest median; None without any."""
        there = [name for name in PEERS if name in self.times]
        return min(there, key=self.median, default=None)


class Contender:
    """A contender's process: a context that kills it at the end."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> "Contender":
        command = [sys.executable, "-m", "rnnexp.bench.contender", self.name]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, work: Workload, cell: str, seconds: float) -> dict[str, Any]:
        """The process's answer; `RunError` if it has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {"workload": work, "cell": cell, "seconds": seconds}
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise RunError(f"the process of {self.name} died") from error
        return answer


def measure(
    works: Sequence[Workload],
    cells: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    on_row: Callable[[TimedRow], None],
    contenders: Sequence[str] = tuple(CONTENDERS),
) -> list[TimedRow]:
    """Time every cell at every workload: all contenders in turn, `rounds` times.

    Args:
      seconds: the least time that a contender trains in a round.
      on_row: receives every row when it is measured.
      contenders: of `CONTENDERS`; those whose package is not installed are left out.

    Raises `RunError` if rnnexp itself failed.
    """
    names = [name for name in contenders if not missing(name)]
    for name in set(contenders) - set(names):
        log.warning("%s is left out: the package %r is not installed", name, PEERS[name])
    rows = []
    with ExitStack() as stack:
        processes = {n: stack.enter_context(Contender(n)) for n in (*names, FLOOR)}
        for work in works:
            for cell in cells:
                row = _row(processes, names, work, cell, rounds, seconds)
                on_row(row)
                rows.append(row)
    return rows


def _row(
    processes: dict[str, Contender],
    names: Sequence[str],
    work: Workload,
    cell: str,
    rounds: int,
    seconds: float,
) -> TimedRow:
    times: dict[str, list[float]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    xla_rate, machine = 0.0, None
    for number in range(rounds + 1):
        for name in names:
            if name in failed:
                continue
            answer = processes[name].ask(work, cell, seconds)
            if "error" in answer:
                failed[name] = answer["error"]
                log.warning("%s failed at %s with %s: %s", name, work.name, cell, failed[name])
            elif number > 0:  # the first warms up
                times[name].append(answer["ms"])
        floor = processes[FLOOR].ask(work, cell, min(seconds, 1.0))
        if "error" in floor:
            raise RunError(f"the matrix rate cannot be measured: {floor['error']}")
        xla_rate = max(xla_rate, floor["xla"])
        machine = floor["machine"] and Rates(*floor["machine"])
    if MAIN in failed:
        raise RunError(f"{MAIN} failed at {work.name} with {cell}: {failed[MAIN]}")
    there = {n: t for n, t in times.items() if n not in failed}
    return TimedRow(work, cell, there, failed, xla_rate, machine)
