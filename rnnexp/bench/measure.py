"""Runs contenders in turn, each in a process of its own, and compares them pair by pair."""

import json
import logging
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from rnnexp.bench.contender import CONTENDERS, FLOOR, PEERS, missing
from rnnexp.bench.workloads import Workload, step_flops
from rnnexp.core.errors import RunError

log = logging.getLogger("rnnexp")
MAIN = "rnnexp"
BARE = "rnnexp, bare step"


class TimedRow(NamedTuple):
    """What was measured of one cell at one workload.

    Attributes:
      times: milliseconds of a training step of every contender, a round each.
      failed: contenders that failed there, and why.
      rate: operations a second of matrix products at this size, the floor.
    """

    work: Workload
    cell: str
    times: dict[str, list[float]]
    failed: dict[str, str]
    rate: float

    def median(self, name: str) -> float:
        """Milliseconds of a contender's step, the median over the rounds."""
        return statistics.median(self.times[name])

    def ratio(self, name: str) -> float:
        """How many times rnnexp's a contender's time is, the median of the rounds' ratios."""
        pairs = zip(self.times[name], self.times[MAIN], strict=True)
        return statistics.median(other / mine for other, mine in pairs)

    def share(self, name: str) -> float:
        """Which share of the matrix rate a contender reaches."""
        return step_flops(self.work, self.cell) / (self.median(name) * 1e-3) / self.rate

    def loop_cost(self) -> float | None:
        """By which share a step takes longer in the training loop than bare, the median of the
        rounds; None where one of the two was not measured."""
        if BARE not in self.times or not self.times[MAIN]:
            return None
        pairs = zip(self.times[MAIN], self.times[BARE], strict=True)
        return statistics.median(mine / bare for mine, bare in pairs) - 1

    def fastest_peer(self) -> str | None:
        """The contender of another library with the lowest median; None without any."""
        there = [name for name in PEERS if name in self.times]
        return min(there, key=self.median, default=None)


class Contender:
    """A contender's process. Used as a context; it is killed in the end."""

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
        """Its answer. Raises `RunError` if the process has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {"workload": work.name, "cell": cell, "seconds": seconds}
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
    told: Callable[[TimedRow], None],
) -> list[TimedRow]:
    """Every cell at every workload: all contenders one after another, and that `rounds` times.

    Args:
      seconds: how long a contender trains in a round, at least.
      told: gets every row as it is measured.

    Raises:
      RunError: rnnexp itself failed.
    """
    names = [name for name in CONTENDERS if not missing(name)]
    for name in set(CONTENDERS) - set(names):
        log.warning("%s is left out: the package %r is not installed", name, PEERS[name])
    rows = []
    with ExitStack() as stack:
        processes = {n: stack.enter_context(Contender(n)) for n in (*names, FLOOR)}
        for work in works:
            for cell in cells:
                row = _row(processes, names, work, cell, rounds, seconds)
                told(row)
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
    rate = 0.0
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
        rate = max(rate, floor["flops"])
    if MAIN in failed:
        raise RunError(f"{MAIN} failed at {work.name} with {cell}: {failed[MAIN]}")
    return TimedRow(work, cell, {n: t for n, t in times.items() if n not in failed}, failed, rate)
