"""How far a graph network hears, by the cell that updates its nodes: accuracy and gradient.

    python experiments/over_squashing.py [--radii 2 3 4 5 6] [--updates gru lstm rnn ...]

`neighbors_match`: the root of a tree of depth r needs the value of one of its 2^r leaves, r edges
away (Alon & Yahav 2021). Each update cell gets r + 1 propagation steps with parameters of their
own, 32 units, batches of 32 and five seeds, which train side by side on 800 * 2^r fixed trees, as
many as the authors'. STEPS_AT has the training steps: one costs twice as much from radius to radius
and more, so that far radii get few, and their low accuracy is not of the radius alone. The training
accuracies of the authors' gated graph network are 1, 1, 1, .60 and .38 at r = 2 ... 6, after up to
50,000 epochs. The trend can be compared, no more.

Prints by radius and update: the accuracy on the training trees, over the last tenth of the records,
and that of the best checkpoint on other trees, means over the seeds with 95 % intervals, beside
chance; ||dL/dh_leaf|| before the first step, and that over ||dL/dh_root||, geometric means with
the range of the seeds. Draws accuracy on training trees (solid) and others (dashed), and gradient,
over r. A second call makes only what is missing.
"""

import argparse
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp import experiment, finish, load_run
from rnnexp.report.figures import new_figure
from rnnexp.report.paper_style import DPI, STYLE, inks
from rnnexp.results.statistics import mean_interval
from rnnexp.run.callbacks import run_path
from rnnexp.run.node_adjoints import nodes_of_runs
from rnnexp.sweep.launch import train_all

UPDATES = ("gru", "lstm", "rnn", "min_gru", "antisymmetric")
STEPS_AT = {2: 2000, 3: 10_000, 4: 4000, 5: 1500, 6: 600}
"""Training steps by radius."""
BATCH, MOMENTS = 32, 10
TREES = 800
"""Of the training set, times 2^r."""


class Heard(NamedTuple):
    """Of each seed the accuracy on training trees and on others, and ||dL/dh|| of leaves and of the
    root before the first step; NaN where training diverged."""

    trained: np.ndarray
    accuracy: np.ndarray
    leaf: np.ndarray
    root: np.ndarray


def configured(update: str, radius: int, steps: int, seed: int) -> FrozenConfigDict:
    """The configuration of a run."""
    config = experiment("neighbors_match/graph")
    config.seed = seed
    config.task.update(radius=radius, examples=TREES * 2**radius)
    config.cell.update(
        node_cell=update, steps=radius + 1, tied=False, reverse=False, start="linear"
    )
    config.train.update(batch_size=BATCH, duration_steps=steps)
    config.optimizer.schedule = "cosine"
    every = max(1, steps // MOMENTS)
    config.eval.every_steps = config.checkpoint.every_steps = every
    config.record.every_steps = max(1, every // MOMENTS)
    return finish(config)


def heard(update: str, radius: int, steps: int, seeds: int, runs_dir: Path) -> Heard:
    """What the best checkpoints hear, trained where they were not."""
    configs = [configured(update, radius, steps, seed) for seed in range(seeds)]
    _, reason = train_all(configs, runs_dir, width=seeds)
    if reason:
        sys.exit(f"stopped: {reason}; the same command goes on")
    paths = [run_path(config, runs_dir) for config in configs]
    runs = [load_run(path) for path in paths]
    found = np.full((4, seeds), math.nan)
    there = [n for n, trained in enumerate(runs) if "test" in trained.status]
    for n, nodes in zip(there, nodes_of_runs([paths[n] for n in there]), strict=True):
        _, on_training = runs[n].curve("train", "accuracy")
        by_distance = nodes.data["by_distance"].values[0]
        found[:, n] = (
            np.mean(on_training[-max(1, len(on_training) // 10) :]),
            runs[n].status["test"]["accuracy"], by_distance[-1], by_distance[0],
        )  # fmt: skip
    return Heard(*found)


def geometric(values_N: np.ndarray) -> float:
    """The geometric mean of what is there; NaN of nothing, 0 if one is 0."""
    there = values_N[np.isfinite(values_N)]
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(there)))) if len(there) else math.nan


def entries(of: Heard, radius: int) -> list[str]:
    """The entries of a row."""
    missing = int(np.isnan(of.accuracy).sum())
    ratio = of.leaf / of.root
    return [
        with_interval(of.trained) + (f", {missing} diverged" if missing else ""),
        with_interval(of.accuracy),
        f"{2.0**-radius:.3f}",
        f"{geometric(of.leaf):.1e}",
        f"{geometric(ratio):.1e} ({np.nanmin(ratio):.1e} to {np.nanmax(ratio):.1e})",
    ]


def with_interval(accuracies_N: np.ndarray) -> str:
    """The mean of accuracies that are there, with its interval within 0 and 1."""
    there = accuracies_N[np.isfinite(accuracies_N)]
    if len(there) > 1 and np.ptp(there) == 0:
        return f"{there[0]:.3f} in all"
    low, high = mean_interval(there) or (math.nan, math.nan)
    mean = np.mean(there) if len(there) else math.nan
    return f"{mean:.3f} [{max(low, 0):.3f}, {min(high, 1):.3f}]"


def draw(found: dict[tuple[str, int], Heard], out: Path) -> None:
    """Accuracy, and the gradient at the leaves over that at the root, over the radius."""
    updates = list(dict.fromkeys(update for update, _ in found))
    radii = sorted({radius for _, radius in found})
    with mpl.rc_context(STYLE):
        figure = new_figure((6.8, 2.8))
        left, right = figure.subplots(1, 2)
        for place, (update, (colour, mark)) in enumerate(
            zip(updates, inks(len(updates)), strict=True)
        ):
            own = [r for r in radii if (update, r) in found]
            beside = np.array(own) + 0.06 * (place - (len(updates) - 1) / 2)
            for axes, values in (
                (left, [found[update, r].trained for r in own]),
                (right, [found[update, r].leaf / found[update, r].root for r in own]),
            ):
                middle = [np.nanmean(v) if axes is left else geometric(v) for v in values]
                ends = [(np.nanmin(v), np.nanmax(v)) for v in values]
                axes.plot(beside, middle, color=colour, marker=mark, markersize=3, label=update)
                axes.vlines(beside, *np.transpose(ends), color=colour, linewidth=0.8)
            others = [np.nanmean(found[update, r].accuracy) for r in own]
            left.plot(beside, others, color=colour, marker=mark, markersize=3, linestyle="--")
        left.plot(radii, [2.0**-r for r in radii], ":", color="0.5", label="chance")
        left.set(
            xlabel="radius r",
            ylabel="accuracy: training trees, others (dashed)",
            xticks=radii,
            ylim=(0, 1.03),
        )
        right.set(xlabel="radius r", ylabel="‖dL/dh_leaf‖ / ‖dL/dh_root‖", xticks=radii)
        right.set_yscale("log")
        left.legend(frameon=False)
        figure.savefig(out, dpi=DPI)
    print(f"drawn: {out}")


def main() -> None:
    """Train what is missing, print the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--radii", type=int, nargs="+", default=list(STEPS_AT))
    parser.add_argument("--updates", nargs="+", default=list(UPDATES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="training steps at every radius, to try it")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/over_squashing"))
    parser.add_argument("--out", type=Path, default=Path("experiments/pictures/over_squashing.png"))
    known = parser.parse_args()
    print(
        "| r | update | on training trees | on others | chance | ‖dL/dh_leaf‖ | over the root's |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found: dict[tuple[str, int], Heard] = {}
    begun = time.monotonic()
    for radius in known.radii:
        steps = known.steps or STEPS_AT.get(radius, min(STEPS_AT.values()))
        for update in known.updates:
            of = heard(update, radius, steps, known.seeds, known.runs_dir)
            found[update, radius] = of
            print(f"| {radius} | {update} | {' | '.join(entries(of, radius))} |", flush=True)
    print(f"{math.ceil((time.monotonic() - begun) / 60)} minutes")
    draw(found, known.out)


if __name__ == "__main__":
    main()
