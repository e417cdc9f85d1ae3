"""How far the gradient reaches with and without a memory, before and after training.

    python experiments/memory_gradients.py --data-dir DATA [--updates 1600] [--seeds 1]

LSTM, neural Turing machine, differentiable neural computer and memory network on `ntm_copy`,
`item_recall` and the bAbI tasks 1 to 3. The first three read a story word by word, along time; the
memory network reads its sentences, along hops. 64 units, memories of 32 slots of 16 numbers, 20
units and 3 hops in the memory network; otherwise each task's own defaults. Stories, which are
long, take a quarter of the updates.

Prints, of every run at its start and its end: the test error; the slope of ln ||dL/dh_t|| (of u
along the hops) over the lag, in nats a step or hop; and the norm at the longest lag over the
largest of all lags, for the hidden state and for the memory. Draws the profiles. A second call
makes only what is missing. Expected on 2 cores: about half an hour.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from ml_collections import FrozenConfigDict

from rnnexp import experiment, finish, load_run, run
from rnnexp.config.schema import flat, settle_durations
from rnnexp.core.axis import lag_label, steps_of
from rnnexp.report.figures import new_figure
from rnnexp.report.paper_style import DPI, FIRST, LAST, STYLE, inks
from rnnexp.results.load import Run

TASKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "ntm_copy": ("ntm_copy", {}, "error_rate"),
    "item_recall": ("item_recall", {}, "error_rate"),
    **{f"bAbI {n}": ("babi", {"number": str(n)}, "accuracy") for n in (1, 2, 3)},
}
MEMORY = {"slots": 32, "width": 16}
CELLS: dict[str, dict[str, Any]] = {
    "lstm": {"hidden_size": 64},
    "ntm": {"hidden_size": 64, **MEMORY},
    "dnc": {"hidden_size": 64, **MEMORY},
    "memory_network": {},
}


class Reading(NamedTuple):
    """A profile at a training step: its slope, and by leaf the longest lag's norm over the
    largest."""

    slope: float
    ratios: dict[str, float]


def configured(task: str, cell: str, updates: int, seed: int) -> FrozenConfigDict | None:
    """The configuration of a run of the table; None where the cell cannot do the task."""
    name, options, _ = TASKS[task]
    if cell == "memory_network" and name != "babi":
        return None
    config = experiment(f"{name}/{cell}")
    config.seed = seed
    before = flat(config)
    changes = {f"task.{key}": value for key, value in options.items()}
    changes |= {f"cell.{key}": value for key, value in CELLS[cell].items()}
    if cell != "memory_network":
        steps = updates // 4 if name == "babi" else updates
        changes |= {"train.duration_steps": steps, "eval.every_steps": max(1, steps // 4)}
        changes |= {"record.every_steps": max(1, steps // 100)}
    config.update_from_flattened_dict(changes)
    settle_durations(config, before, list(changes))
    return finish(config)


def reading(trained: Run, index: int) -> Reading:
    """What the profiles of a run's recorded step say."""
    ratios = {}
    for leaf in trained.norms:
        lagged = trained.by_lag(leaf, 0)[index]
        ratios[leaf] = float(lagged[-1] / lagged.max())
    leaf = next(iter(trained.norms))
    _, slopes = trained.curve("train", f"slope/{trained.units[0]}/{leaf}")
    return Reading(float(slopes[index]), ratios)


def row(task: str, cell: str, trained: Run) -> str:
    """A run's row of the table."""
    first, last = reading(trained, 0), reading(trained, -1)
    score = float(trained.status["test"][TASKS[task][2]])
    error = 1 - score if TASKS[task][2] == "accuracy" else score
    leaves = [leaf for leaf in first.ratios if leaf in ("h", "u", "M")]
    reach = "; ".join(
        f"{leaf}: {first.ratios[leaf]:.1g} → {last.ratios[leaf]:.1g}" for leaf in leaves
    )
    slope = f"{first.slope:+.3f} → {last.slope:+.3f}"
    steps = f"{next(iter(trained.norms.values())).shape[2]} {steps_of(trained.axis)}"
    return f"| {task} | {cell} | {100 * error:.1f} % | {steps} | {slope} | {reach} |"


def draw(found: dict[tuple[str, str], Run], out: Path) -> None:
    """A panel a task and cell: profiles over the lag at the start (dotted) and the end."""
    tasks = list(dict.fromkeys(task for task, _ in found))
    with mpl.rc_context(STYLE):
        figure = new_figure((2.1 * len(CELLS), 1.7 * len(tasks)))
        for (task, cell), trained in found.items():
            place = tasks.index(task) * len(CELLS) + list(CELLS).index(cell) + 1
            axes = figure.add_subplot(len(tasks), len(CELLS), place)
            leaves = [leaf for leaf in trained.norms if leaf in ("h", "u", "M")]
            for leaf, (colour, _) in zip(leaves, inks(2), strict=False):
                for index, dash in ((0, FIRST), (-1, LAST)):
                    norms_T = trained.by_lag(leaf, 0)[index]
                    shown = np.where(norms_T > 0, norms_T, np.nan)
                    mark = "o" if len(shown) < 5 else None
                    axes.plot(shown, color=colour, linestyle=dash, marker=mark, markersize=2.5)
            axes.set(yscale="log", xlabel=lag_label([trained.axis]).partition(":")[0])
            if place % len(CELLS) == 1:
                axes.set_ylabel("norm of the adjoint")
            axes.invert_xaxis()
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            axes.set_title(f"{task}, {cell}" + (": h, M" if "M" in leaves else ""))
        (h, _), (m, _) = inks(2)
        named = {"dL/dh, dL/du": h, "dL/dM": m, "at the start": "0.4", "at the end": "0.4"}
        lines = [
            Line2D([], [], color=colour, linestyle=FIRST if label == "at the start" else LAST)
            for label, colour in named.items()
        ]
        figure.legend(lines, list(named), loc="upper right", frameon=False)
        figure.savefig(out, dpi=DPI)
    print(f"drawn: {out}")


def main() -> None:
    """Train what is missing, print the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/memory_gradients"))
    parser.add_argument("--updates", type=int, default=1600)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--out", type=Path, default=Path("experiments/pictures/memory.png"))
    known = parser.parse_args()
    print("| task | cell | error | length | slope, start → end | longest lag / largest |")
    print("| --- | --- | --- | --- | --- | --- |")
    found: dict[tuple[str, str], Run] = {}
    begun = time.monotonic()
    for task in known.tasks:
        for cell in CELLS:
            for seed in range(known.seeds):
                if (config := configured(task, cell, known.updates, seed)) is None:
                    continue
                result = run(config, runs_dir=known.runs_dir, data_dir=known.data_dir)
                trained = load_run(result.path)
                if "test" not in trained.status:
                    print(f"| {task} | {cell} | {trained.status['status']} | | | |")
                    continue
                print(row(task, cell, trained), flush=True)
                found.setdefault((task, cell), trained)
    print(f"{math.ceil((time.monotonic() - begun) / 60)} minutes")
    draw(found, known.out)


if __name__ == "__main__":
    main()
