"""How far a graph network hears, by the cell that updates its nodes: accuracy and gradient.

    python experiments/over_squashing.py [--radii 2 3 4 5 6] [--updates gru lstm rnn ...]

`neighbors_match`: the root of a tree of depth r needs the value of one of its 2^r leaves, r edges
away (Alon & Yahav 2021). Each update cell gets r + 1 propagation steps, tied, 32 units and 20,000
training steps of 64 drawn trees, or fewer with `--steps`. The training accuracies of the authors'
gated graph network are 1, 1, 1, .60 and .38 at r = 2 ... 6. The trend can be compared, no more:
their layers are untied, and their examples a training set, where here they are drawn without end.

Prints by radius and update, of the best checkpoint: the accuracy beside chance; the mean
||dL/dh_leaf|| before the first step; that over ||dL/dh_root||; the largest Dirichlet energy. Draws
accuracy and gradient over r. A second call makes only what is missing. Expected on 2 cores: many
hours; `--radii 2 3` takes minutes.
"""

import argparse
import math
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

from rnnexp import experiment, finish, load_run, run
from rnnexp.report.figures import new_figure
from rnnexp.report.paper_style import DPI, STYLE, inks
from rnnexp.run.node_adjoints import nodes_of_run

UPDATES = ("gru", "lstm", "rnn", "min_gru", "antisymmetric", "lem")


class Heard(NamedTuple):
    """The test accuracy, ||dL/dh|| of leaves and of the root before the first step, the largest
    energy."""

    accuracy: float
    leaf: float
    root: float
    energy: float


def heard(update: str, radius: int, steps: int, seed: int, runs_dir: Path) -> Heard | None:
    """What the best checkpoint of a run hears, trained if it was not; None if it has no test."""
    config = experiment("neighbors_match/graph")
    config.seed = seed
    config.task.radius = radius
    config.cell.update(node_cell=update, steps=radius + 1, reverse=False, start="linear")
    config.train.duration_steps = steps
    config.eval.every_steps = max(1, steps // 20)
    path = run(finish(config), runs_dir=runs_dir).path
    status = load_run(path).status
    if "test" not in status:
        return None
    data = nodes_of_run(path).data
    first = data["by_distance"].values[0]
    return Heard(
        float(status["test"]["accuracy"]), float(first[-1]), float(first[0]),
        float(data["energy"].max()),
    )  # fmt: skip


def draw(found: dict[tuple[str, int], Heard], out: Path) -> None:
    """Accuracy, and the gradient at the leaves over that at the root, over the radius."""
    updates = list(dict.fromkeys(update for update, _ in found))
    radii = sorted({radius for _, radius in found})
    with mpl.rc_context(STYLE):
        figure = new_figure((6.4, 2.8))
        left, right = figure.subplots(1, 2)
        for update, (colour, _) in zip(updates, inks(len(updates)), strict=False):
            own = [r for r in radii if (update, r) in found]
            rows = [found[update, r] for r in own]
            left.plot(own, [row.accuracy for row in rows], "o-", color=colour, label=update)
            ratios = [row.leaf / row.root if row.root else math.nan for row in rows]
            right.plot(own, ratios, "o-", color=colour)
        left.plot(radii, [2.0**-r for r in radii], ":", color="0.5", label="chance")
        left.set(xlabel="radius r", ylabel="accuracy", xticks=radii)
        right.set(
            xlabel="radius r", ylabel="||dL/dh_leaf|| / ||dL/dh_root||", xticks=radii, yscale="log"
        )
        left.legend()
        figure.savefig(out, dpi=DPI)
    print(f"drawn: {out}")


def main() -> None:
    """Train what is missing, print the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--radii", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--updates", nargs="+", default=list(UPDATES))
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/over_squashing"))
    parser.add_argument("--out", type=Path, default=Path("experiments/pictures/over_squashing.png"))
    known = parser.parse_args()
    print("| r | update | accuracy | chance | dL/dh of a leaf | over the root's | largest energy |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found: dict[tuple[str, int], Heard] = {}
    begun = time.monotonic()
    for radius in known.radii:
        for update in known.updates:
            of = heard(update, radius, known.steps, known.seed, known.runs_dir)
            if of is None:
                print(f"| {radius} | {update} | no test score | | | | |")
                continue
            found[update, radius] = of
            ratio = of.leaf / of.root if of.root else math.nan
            print(
                f"| {radius} | {update} | {of.accuracy:.3f} | {2.0**-radius:.3f} | {of.leaf:.1e} | "
                f"{ratio:.1e} | {of.energy:.3g} |",
                flush=True,
            )
    print(f"{math.ceil((time.monotonic() - begun) / 60)} minutes")
    if found:
        draw(found, known.out)


if __name__ == "__main__":
    main()
