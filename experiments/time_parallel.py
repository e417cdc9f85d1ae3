"""What it brings to run through time in parallel instead of step by step.

    python experiments/time_parallel.py

First the cells whose state is linear, T = 10,000, B = 8, I = 4, H = 64: the associative scan
(`config.model.associative`) against the scan of single steps. Then nonlinear cells: Newton's
iteration with full and with diagonal Jacobians (`config.model.newton`) against the scan, and
on a processor against the compiled kernel, which is what runs there by default. All ways of a
cell in turn, several rounds in one process; the median of the pairwise ratios, above 1 where
the parallel way is faster. What is compiled is compiled before. `forward` is the states alone,
`gradient` the loss and its gradient by the weights.

Newton with full Jacobians holds T * B * S^2 numbers a few times over, so lengths that need
more than `--memory-gib` are left out, and a line says so. Ten minutes on two cores.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.scan.kernels import build
from rnnexp.scan.unroll import TimeLoop, unroll

BATCH, INPUTS, HIDDEN = 8, 4, 64
LINEAR_STEPS = 10_000
LINEAR, NONLINEAR = ("lru", "min_gru", "min_lstm"), ("rnn", "gru", "lstm")
COPIES = 6  # of all Jacobians, at once, in the rounds of the associative scan
WAYS = {
    "scan": TimeLoop(),
    "kernel": TimeLoop(kernel=True),
    "full": TimeLoop(newton="full"),
    "diagonal": TimeLoop(newton="diagonal"),
}


def made(name: str) -> tuple[Cell, Params]:
    """A cell with its initial weights."""
    cell: Cell = CELLS.entry(name).factory()(INPUTS, HIDDEN)
    return cell, jax.jit(cell.init)(jax.random.key(0))


def drive(steps: int) -> Array:
    """Gaussian inputs."""
    return jax.random.normal(jax.random.key(1), (steps, BATCH, INPUTS))


def functions(cell: Cell, time_loop: TimeLoop) -> dict[str, Callable[..., Any]]:
    """The compiled forward and backward passes of a way through time."""

    def loss(params: Params, x_TxBxI: Array) -> Array:
        return jnp.mean(unroll(cell, params, x_TxBxI, time_loop=time_loop).outputs_TxBxH ** 2)

    def forward(params: Params, x_TxBxI: Array) -> Any:
        run = unroll(cell, params, x_TxBxI, time_loop=time_loop)
        return run.outputs_TxBxH, run.newton_stats

    return {"forward": jax.jit(forward), "gradient": jax.jit(jax.value_and_grad(loss))}


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """One call."""
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began


def contest(
    cell: Cell, params: Params, x_TxBxI: Array, paths: Mapping[str, TimeLoop], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds by pass and way, all ways in turn."""
    ready = {way: functions(cell, path) for way, path in paths.items()}
    took: dict[str, dict[str, list[float]]] = {}
    for name in ("forward", "gradient"):
        took[name] = {way: [] for way in paths}
        for way in paths:
            seconds(ready[way][name], params, x_TxBxI)
        for _ in range(rounds):
            for way in paths:
                took[name][way].append(seconds(ready[way][name], params, x_TxBxI))
    return took


def tell(label: str, took: Mapping[str, Mapping[str, list[float]]], base: str) -> None:
    """A row for every pass: the base's time, and how many times faster the others are."""
    for name, times in took.items():
        ratios = {
            way: statistics.median(b / t for b, t in zip(times[base], values, strict=True))
            for way, values in times.items()
            if way != base
        }
        told = "".join(f"{way:>12} x{ratio:<8.3g}" for way, ratio in ratios.items())
        milliseconds = statistics.median(times[base]) * 1e3
        print(f"{label:20}{name:10}{base} {milliseconds:9.2f} ms{told}", flush=True)


def iterations(cell: Cell, params: Params, x_TxBxI: Array, method: str) -> str:
    """How many iterations it takes, and whether they come to rest."""
    stats = functions(cell, TimeLoop(newton=method))["forward"](params, x_TxBxI)[1]
    return f"{int(stats.iterations)}" + ("" if bool(stats.converged) else ", then the scan")


def exponent(cell: Cell, params: Params, x_TxBxI: Array) -> float:
    """The largest Lyapunov exponent, nats per step."""
    spectrum = lyapunov_spectrum(
        cell, params, x_TxBxI, count=1, warmup_steps=len(x_TxBxI) // 4, key=jax.random.key(2)
    )
    return float(spectrum.exponents_K[0])


def ways_of(cell: Cell, params: Params, steps: int, memory_gib: float) -> dict[str, TimeLoop]:
    """The ways that a nonlinear cell can take; says which are left out."""
    ways = dict(WAYS)
    built = cell.kernel is not None and not build.problem(cell.kernel, "float32")
    if jax.default_backend() != "cpu" or not built:
        del ways["kernel"]
    size = sum(leaf.size for leaf in jax.tree.leaves(cell.init_state(params)))
    needed = COPIES * 4 * steps * BATCH * size**2 / 2**30
    if needed > memory_gib:
        del ways["full"]
        print(f"{cell.name}, T={steps:,}: full Jacobians would take about {needed:.0f} GiB")
    return ways


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--memory-gib", type=float, default=8.0)
    known = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.platform}: {device.device_kind}; B={BATCH} I={INPUTS} H={HIDDEN}")
    for name in LINEAR:
        cell, params = made(name)
        paths = {"scan": TimeLoop(), "associative": TimeLoop(associative=True)}
        took = contest(cell, params, drive(LINEAR_STEPS), paths, known.rounds)
        tell(f"{name} T={LINEAR_STEPS:,}", took, "scan")
    for steps in known.steps:
        x_TxBxI = drive(steps)
        for name in NONLINEAR:
            cell, params = made(name)
            ways = ways_of(cell, params, steps, known.memory_gib)
            counts = [
                f"{way} {iterations(cell, params, x_TxBxI, way)}"
                for way in ways
                if WAYS[way].newton
            ]
            rate = exponent(cell, params, x_TxBxI)
            print(f"{name} T={steps:,}: exponent {rate:+.3f}; iterations: {'; '.join(counts)}")
            took = contest(cell, params, x_TxBxI, ways, known.rounds)
            tell(f"{name} T={steps:,}", took, "scan")


if __name__ == "__main__":
    main()
