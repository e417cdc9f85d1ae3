"""How much a Hopfield network stores, and where the gradient of a modern one goes.

    python experiments/hopfield_capacity.py [--trials 12] [--out experiments/pictures/hopfield.png]

1. One update of the classical network from a stored pattern: the fraction of units that flip,
   beside the exact binomial probability P[Bin((N-1)(P-1), 1/2) < ((N-1)(P-1) - N + 1) / 2].
2. Its overlap with the pattern after 30 asynchronous sweeps, over alpha = P / N at three sizes,
   beside the replica-symmetric theory (Amit, Gutfreund & Sompolinsky 1985), which for the fraction
   d of wrong units has e = erfinv(1 - 2 d), alpha = ((1 - 2 d) / (sqrt(2) e) - sqrt(2 / pi)
   exp(-e^2))^2 and m = 1 - 2 d; it ends at alpha_c.
3. The basin: the overlap of a damaged cue from which half of the trials are retrieved.
4. The modern network over beta, with patterns in clusters: the largest Lyapunov exponent along
   the updates, the norm of dL/ds_0 for L = ||s_T - pattern||^2 / 2, and how many patterns its
   last update mixes (the exponential of the entropy of its softmax).

Prints the tables and draws them; seeds are fixed.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from scipy.special import erfinv  # type: ignore[import-untyped]
from scipy.stats import binom  # type: ignore[import-untyped]

from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.cells.hopfield import hopfield
from rnnexp.core.types import Array, Key
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.report.figures import new_figure
from rnnexp.report.paper_style import DPI, STYLE, inks
from rnnexp.scan.step import context_as_input, prepare_batch
from rnnexp.scan.unroll import unroll
from rnnexp.tasks.pattern_recall import damaged, random_patterns

T = TypeVar("T")
SIZES = (500, 1000, 2000)
ALPHAS = (0.04, 0.06, 0.08, 0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.18, 0.20)
FLIPS = ((500, 50), (1000, 138), (1000, 185))
SWEEPS = 30
BASIN_ALPHAS, BASIN_SIZE = (0.02, 0.05, 0.08, 0.11, 0.13), 1000
BETAS = np.geomspace(0.1, 300, 36)
CLUSTERS, IN_CLUSTER, UNITS, UPDATES = 4, 6, 32, 10


def recalled(cell: Cell, stored_BxMxN: Array, cue_BxN: Array) -> Array:
    """The state after the cell's updates, (B, N)."""
    params = cell.init(jax.random.key(0))
    context = {"patterns": stored_BxMxN, "cue": cue_BxN}
    nothing = jnp.zeros((cell.steps, *cue_BxN.shape))
    return unroll(cell, params, nothing, context=context).final_BxH


def flip_rates(trials: int) -> list[str]:
    """Rows of the first table: measured rate, its standard error, the exact one."""
    rows = []
    for size, count in FLIPS:
        cell = hopfield(size, 0, kind="classical", updates=1)

        @jax.jit
        def flipped(key: Key, cell: Cell = cell, size: int = size, count: int = count) -> Array:
            stored = random_patterns(key, 4, count, size)
            return jnp.mean(recalled(cell, stored, stored[:, 0]) != stored[:, 0])

        rates = [float(flipped(jax.random.key(n))) for n in range(10 * trials)]
        pairs = (size - 1) * (count - 1)
        exact = float(binom.cdf(math.ceil((pairs - size + 1) / 2) - 1, pairs, 0.5))
        rate, error = float(np.mean(rates)), float(np.std(rates, ddof=1) / len(rates) ** 0.5)
        apart = (rate - exact) / error
        rows.append(f"| {size}, {count} | {rate:.3e} ± {error:.1e} | {exact:.3e} | {apart:+.1f} |")
    return rows


def overlaps(size: int, alpha: float, trials: int, start: float = 1.0) -> np.ndarray:
    """Overlaps after the sweeps, one a trial, from a cue of overlap `start`."""
    count, flips = round(alpha * size), round((1 - start) / 2 * size)
    cell = hopfield(size, 0, kind="classical", order="asynchronous", updates=SWEEPS)

    @jax.jit
    def one(key: Key) -> Array:
        key_stored, key_cue = jax.random.split(key)
        stored = random_patterns(key_stored, 1, count, size)
        cue = damaged(stored[:, 0], key_cue, flips, 0)
        return jnp.mean(recalled(cell, stored, cue) * stored[:, 0])

    return np.array([float(one(jax.random.key(n))) for n in range(trials)])


def curve(size: int, trials: int) -> list[np.ndarray]:
    """The overlaps at every alpha, from the undamaged pattern."""
    return [overlaps(size, alpha, trials) for alpha in ALPHAS]


def theory() -> tuple[np.ndarray, np.ndarray]:
    """alpha and the overlap m of the retrieval states, up to the largest alpha."""
    wrong = np.geomspace(1e-6, 0.2, 20_000)
    e = erfinv(1 - 2 * wrong)
    alpha = ((1 - 2 * wrong) / (np.sqrt(2) * e) - np.sqrt(2 / np.pi) * np.exp(-(e**2))) ** 2
    last = int(np.argmax(alpha)) + 1
    return alpha[:last], 1 - 2 * wrong[:last]


def basin(alpha: float, trials: int) -> float:
    """The smallest overlap of a cue from which half of the trials reach 0.9, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(5):
        middle = (low + high) / 2
        reached = np.mean(overlaps(BASIN_SIZE, alpha, trials, middle) > 0.9)
        low, high = (low, middle) if reached >= 0.5 else (middle, high)
    return high


def clustered(key: Key) -> Array:
    """Patterns (M, N) of norm 1, near the centres of clusters, with mean 0."""
    key_centres, key_noise = jax.random.split(key)
    centres = jax.random.normal(key_centres, (CLUSTERS, 1, UNITS))
    noise = jax.random.normal(key_noise, (CLUSTERS, IN_CLUSTER, UNITS))
    x_MxN = (centres + 0.5 * noise).reshape(-1, UNITS)
    x_MxN = x_MxN / jnp.linalg.norm(x_MxN, axis=1, keepdims=True)
    centred: Array = x_MxN - jnp.mean(x_MxN, 0, keepdims=True)
    return centred


def modern(beta: float) -> tuple[float, float, float]:
    """The largest exponent (nats an update), ||dL/ds_0||, and the number of mixed patterns."""
    x_MxN = clustered(jax.random.key(3))
    cue_N = x_MxN[0] + 0.1 * jax.random.normal(jax.random.key(4), (UNITS,)) / UNITS**0.5
    cell = hopfield(UNITS, 0, beta=beta, updates=UPDATES)
    params = cell.init(jax.random.key(0))

    def loss(cue_N: Array) -> Array:
        after = recalled(cell, x_MxN[None], cue_N[None])[0]
        return jnp.sum((after - x_MxN[0]) ** 2) / 2

    gradient = float(jnp.linalg.norm(jax.jit(jax.grad(loss))(cue_N)))
    weights_M = jax.nn.softmax(beta * x_MxN @ recalled(cell, x_MxN[None], cue_N[None])[0])
    mixed = float(jnp.exp(jnp.sum(jax.scipy.special.entr(weights_M))))
    whole = prepare_batch(cell, params, {"patterns": x_MxN[None], "cue": cue_N[None]})
    steps = jnp.zeros((400, 1, UNITS))
    start = {"s": whole[CONTEXT]["cue"]}
    driven, own, inputs = context_as_input(cell, whole, steps)
    spectrum = lyapunov_spectrum(
        driven, own, inputs, count=1, warmup_steps=100, key=jax.random.key(5), start=start
    )
    return float(spectrum.exponents_K[0]), gradient, mixed


def timed(text: str, call: Callable[[], T]) -> T:
    """What a call gives; prints how long it took."""
    begun = time.monotonic()
    result = call()
    print(f"{text}: {time.monotonic() - begun:.0f} s", flush=True)
    return result


def draw(
    curves: dict[int, list[np.ndarray]], basins: list[float], points: list[Any], out: Path
) -> None:
    """The picture of all tables."""
    with mpl.rc_context(STYLE):
        figure = new_figure((8.4, 2.6))
        left, middle, right = (figure.add_subplot(1, 3, n) for n in (1, 2, 3))
        left.plot(*theory(), color="0.35", linestyle="--", label="theory")
        for (size, rows), (colour, mark) in zip(curves.items(), inks(len(curves)), strict=True):
            means = [np.mean(row) for row in rows]
            errors = [np.std(row, ddof=1) / len(row) ** 0.5 for row in rows]
            left.errorbar(
                ALPHAS, means, errors, color=colour, marker=mark, markersize=3, label=f"N = {size}"
            )
        left.axvline(0.1379, color="0.6", linewidth=0.7)
        left.set(xlabel="patterns per unit", ylabel="overlap after 30 sweeps", ylim=(0, 1.03))
        left.legend(frameon=False)
        middle.plot(BASIN_ALPHAS, basins, color=inks(1)[0][0], marker="o", markersize=3)
        middle.set(xlabel="patterns per unit", ylabel="overlap needed of a cue", ylim=(0, 1.03))
        middle.set_title(f"basins, N = {BASIN_SIZE}")
        exponents, gradients, mixed = (list(column) for column in zip(*points, strict=True))
        (first, _), (second, _) = inks(2)
        right.plot(BETAS, exponents, color=first, label="λ₁, nats per update")
        right.plot(BETAS, np.log(np.maximum(gradients, 1e-300)), color=second, label="ln ‖dL/ds₀‖")
        right.axhline(0, color="0.6", linewidth=0.7)
        right.set(xlabel="β", xscale="log", ylim=(-25, 6))
        right.legend(frameon=False, loc="lower left")
        mixing = right.twinx()
        mixing.plot(BETAS, mixed, color="0.35", linestyle=":")
        mixing.set(ylabel="patterns mixed (dotted)", yscale="log", yticks=[1, 6, 24])
        mixing.set_yticklabels(["1", "6", "24"])
        mixing.minorticks_off()
        figure.savefig(out, dpi=DPI)
    print(f"drawn: {out}")


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--out", type=Path, default=Path("experiments/pictures/hopfield.png"))
    known = parser.parse_args()
    print("| N, P | flipped in one update | exact | standard errors apart |")
    print("| --- | --- | --- | --- |")
    for row in flip_rates(known.trials):
        print(row, flush=True)
    curves = {}
    for size in known.sizes:
        curves[size] = timed(f"N = {size}", partial(curve, size, known.trials))
    alpha, m = theory()
    print("| alpha | theory | " + " | ".join(f"N = {size}" for size in curves) + " |")
    print("| --- |" + " --- |" * (1 + len(curves)))
    for number, a in enumerate(ALPHAS):
        expected = f"{np.interp(a, alpha, m):.4f}" if a <= alpha[-1] else "none"
        cells = [rows[number] for rows in curves.values()]
        shown = [f"{np.mean(c):.4f} ± {np.std(c, ddof=1) / len(c) ** 0.5:.4f}" for c in cells]
        print(f"| {a:.2f} | {expected} | " + " | ".join(shown) + " |")
    print(f"the theory ends at alpha = {alpha[-1]:.6f}, m = {m[-1]:.4f}")
    basins = timed("basins", lambda: [basin(a, known.trials) for a in BASIN_ALPHAS])
    for a, overlap in zip(BASIN_ALPHAS, basins, strict=True):
        print(f"alpha = {a:.2f}: half of the cues of overlap {overlap:.2f} are retrieved")
    with jax.enable_x64(True):
        points = timed("modern", lambda: [modern(float(beta)) for beta in BETAS])
        print("| β | λ₁, nats per update | ‖dL/ds₀‖ | patterns mixed |\n| --- | --- | --- | --- |")
        for beta, (exponent, gradient, mixed) in list(zip(BETAS, points, strict=True))[::3]:
            print(f"| {beta:.3g} | {exponent:+.3f} | {gradient:.2e} | {mixed:.1f} |")
        square = float(jnp.linalg.norm(clustered(jax.random.key(3)), 2)) ** 2
        print(f"the averaging state loses stability at β* = {CLUSTERS * IN_CLUSTER / square:.2f}")
    draw(curves, basins, points, known.out)


if __name__ == "__main__":
    main()
