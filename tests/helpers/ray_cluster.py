"""A real Ray cluster on the loopback device: a head without CPUs, and nodes of one CPU each."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

HEAD = "127.0.0.2"  # Ray replaces 127.0.0.1 by the machine's outer address
START = (
    str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats",
    "--object-store-memory=80000000", "--log-color=false",
)  # fmt: skip
NOTICE = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}
"""So that the head notices a lost node after seconds."""


class RayCluster:
    """Context: `ray start` processes, each in a session of its own, all killed at the end."""

    def __init__(self, nodes: int):
        self.nodes = [f"127.0.0.{3 + number}" for number in range(nodes)]
        self.started: dict[str, subprocess.Popen[bytes]] = {}
        # A short path: that of a Unix socket has at most 107 bytes.
        self.folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
        with socket.create_server((HEAD, 0)) as free:
            self.address = f"{HEAD}:{free.getsockname()[1]}"

    def __enter__(self) -> Self:
        try:
            self._start(
                HEAD, "--head", "--num-cpus=0", f"--port={self.address.partition(':')[2]}",
                "--include-dashboard=false", f"--temp-dir={self.folder.name}",
            )  # fmt: skip
            self._await(HEAD)
            for node in self.nodes:
                self._start(node, "--num-cpus=1", f"--address={self.address}")
                self._await(node)  # two that start at once may choose the same ports
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _start(self, node: str, *arguments: str) -> None:
        with (Path(self.folder.name) / f"{node}.log").open("w") as log:
            self.started[node] = subprocess.Popen(
                [*START, f"--node-ip-address={node}", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | NOTICE,
            )  # fmt: skip

    def _await(self, node: str, limit_s: float = 60.0) -> None:
        log = Path(self.folder.name) / f"{node}.log"
        deadline = time.monotonic() + limit_s
        while "Ray runtime started" not in log.read_text():
            assert self.started[node].poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def kill_raylet(self, node: str) -> None:
        """Kill what makes a node of it, as if the machine were lost."""
        for pid, name in self._processes(node):
            if name == "raylet":
                os.kill(pid, signal.SIGKILL)
                return
        raise AssertionError(f"{node} has no raylet")

    def _processes(self, node: str) -> list[tuple[int, str]]:
        """Numbers and names of a node's processes: those of its session."""
        session = self.started[node].pid
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                head, _, tail = stat.read_text().rpartition(")")
            except OSError:
                continue  # it has ended meanwhile
            fields = tail.split()
            if fields[0] != "Z" and int(fields[3]) == session:
                found.append((int(stat.parent.name), head.partition("(")[2]))
        return found

    def _end(self) -> None:
        for node, starter in self.started.items():
            for pid, _ in self._processes(node):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            starter.wait()
        deadline = time.monotonic() + 10
        while left := [process for node in self.started for process in self._processes(node)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        self.folder.cleanup()
