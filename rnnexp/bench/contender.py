"""The contenders, and the process of each of them.

`python -m rnnexp.bench.contender NAME` reads commands from its input, one JSON line each, such as
{"workload": [...], "cell": "lstm", "seconds": 2.0}. It answers each with a JSON line: the
milliseconds of a step, or an error. Only one contender works at a time.
"""

import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rnnexp.bench import ours, peers
from rnnexp.bench.floor import Rates, machine_rates, matrix_rate
from rnnexp.bench.ours import TimedLoop
from rnnexp.bench.workloads import Workload
from rnnexp.runtime.allocator import keep_memory
from rnnexp.scan.kernels.build import BuildError

log = logging.getLogger("rnnexp")

CONTENDERS: dict[str, Callable[[Workload, str], TimedLoop]] = {
    "rnnexp": ours.training_loop,
    "rnnexp, bare step": ours.bare_step,
    "rnnexp, scan": ours.scan_loop,
    "flax.linen.RNN": peers.linen,
    "flax.nnx.RNN": peers.nnx,
    "torch.nn": peers.torch,
}
PEERS = {"flax.linen.RNN": "flax", "flax.nnx.RNN": "flax", "torch.nn": "torch"}
"""The contenders of other libraries, and the package that each needs."""
FLOOR = "matrix rate"


def missing(name: str) -> bool:
    """Whether the package of a contender is not installed."""
    return name in PEERS and importlib.util.find_spec(PEERS[name]) is None


@lru_cache(maxsize=1)
def _made(name: str, work: Workload, cell: str) -> TimedLoop:
    """The contender for one workload; the previous one is dropped to free its memory."""
    return CONTENDERS[name](work, cell)


@lru_cache(maxsize=1)
def _machine(seconds: float) -> Rates | None:
    """What the machine can do, which no workload changes; None without a compiler."""
    try:
        return machine_rates(seconds)
    except BuildError as error:
        log.warning("what the processor can do at most is not measured: %s", error)
        return None


def answer(name: str, command: dict[str, Any]) -> dict[str, Any]:
    """A contender's answer to a command."""
    work, cell, seconds = Workload(*command["workload"]), command["cell"], command["seconds"]
    if name == FLOOR:
        rates = _machine(seconds)
        return {"xla": matrix_rate(work, cell, seconds), "machine": rates}
    steps, spent = _made(name, work, cell)(seconds)
    return {"ms": 1e3 * spent / steps, "steps": steps}


def main() -> None:
    """Answer commands until the input ends."""
    logging.getLogger("rnnexp").setLevel(logging.INFO)
    if sys.argv[1] not in PEERS:
        keep_memory()  # as `rnnexp run` does
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints is not an answer
    for line in sys.stdin:
        try:
            reply = answer(sys.argv[1], json.loads(line))
        except Exception as error:  # of whatever library; the benchmark goes on without it
            reply = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
