"""Where the gradient of seven recurrent networks goes, before and after training, on two tasks.

    python experiments/gradient_flow.py --data-dir DATA

Copy memory with delay 100 (3,000 updates) and MNIST pixel by pixel in a fixed random order (1,000
updates), 64 hidden units, batches of 32, the laboratory on at ten moments of every run. Runs that
one compiled program serves train side by side. Prints a table a task, draws
experiments/pictures/gradient_flow.png and writes RUNS_DIR/report.html. A second call makes only
what is missing. `--steps N` cuts both tasks to N updates, and draws into RUNS_DIR. Expected on 2
cores: about a quarter of an hour.

Of each run, at the start and at the end:

* slope: of ln ||dL/dh_t|| over the lag, nats per step; at the end the median of the last quarter;
* λ₁: the largest Lyapunov exponent, nats per step; -inf: a relu that is off, or a slope that is
  0 in float32, loses every direction at some step;
* ln s₁: the logarithm of the largest singular value of dh_{t+k}/dh_t over the longest span k;
* lag > N: how much of dL/dW, all weights of the cell together, comes from lags beyond half the
  sequence (whole bins of lags): the norms of those bins' parts over the norms of all parts.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from ml_collections import FrozenConfigDict

from rnnexp import experiment, finish, load_laboratory, load_run
from rnnexp.config.schema import flat, settle_durations
from rnnexp.report.figures import COLOURS, save
from rnnexp.report.page.html import write_report
from rnnexp.results.load import Run
from rnnexp.run.callbacks import run_path
from rnnexp.sweep.launch import train_all

if TYPE_CHECKING:
    import xarray

    Laboratory = xarray.Dataset


class Task(NamedTuple):
    """A task of the table: its options, length, updates, and the score that is shown."""

    name: str
    options: dict[str, Any]
    steps_T: int
    updates: int
    score: str


TASKS = {
    "copy memory, delay 100": Task("copy_memory", {"delay_steps": 100}, 120, 3000, "loss"),
    "permuted MNIST": Task("mnist", {"by": "pixel", "permuted": True}, 784, 1000, "accuracy"),
}
CHRONO = "chrono"
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn, tanh, 0.9 x orthogonal": ("rnn", {"recurrent_scale": 0.9}),
    "rnn, tanh, orthogonal": ("rnn", {}),
    "rnn, relu, identity (IRNN)": ("rnn", {"activation": "relu", "start": "identity"}),
    "lstm, forget bias 0": ("lstm", {"forget_bias": 0.0}),
    "lstm, forget bias 1": ("lstm", {"forget_bias": 1.0}),
    "lstm, chrono": ("lstm", {"chrono_steps": CHRONO}),
    "gru": ("gru", {}),
}
HIDDEN, BATCH, MOMENTS = 64, 32, 10
INKS = (*COLOURS, "#000000")
PICTURE = Path(__file__).parent / "pictures" / "gradient_flow.png"


def configuration(task: Task, cell: str, options: dict[str, Any], updates: int) -> FrozenConfigDict:
    """One run; a chrono initialisation is told the length of the task's sequences."""
    config = experiment(f"{task.name}/{cell}")
    values = {key: task.steps_T if value == CHRONO else value for key, value in options.items()}
    config.task.update(task.options)
    config.cell.update(values | {"hidden_size": HIDDEN})
    config.train.batch_size = BATCH
    durations = {
        "train.duration_steps": updates,
        "eval.every_steps": max(1, updates // 2),
        "laboratory.every_steps": max(1, updates // MOMENTS),
    }
    before = flat(config)
    config.update_from_flattened_dict(durations)
    settle_durations(config, before, durations)
    return finish(config)


def train(configs: Sequence[FrozenConfigDict], runs_dir: Path, data_dir: Path | None) -> Path:
    """Train what is missing, several runs side by side where they can; the sweep's directory."""
    sweep_dir, reason = train_all(configs, runs_dir, data_dir=data_dir)
    if reason:
        sys.exit(f"stopped: {reason}; the same command goes on")
    return sweep_dir


def far_share(laboratory: "Laboratory", run: Run, steps_T: int) -> tuple[np.ndarray, int]:
    """The share of dL/dW beyond a lag, of every measured step, and that lag.

    The lag is the edge of bins that is nearest to half the sequence.
    """
    norms_SxB, edges_B = by_lag(laboratory)
    begin = int(np.argmin(np.abs(edges_B - steps_T / 2)))
    far_S, whole_S = norms_SxB[:, begin + 1 :].sum(1), norms_SxB.sum(1)
    share_S = np.divide(far_S, whole_S, out=np.full_like(far_S, np.nan), where=whole_S > 0)
    return share_S, int(edges_B[begin])


def by_lag(laboratory: "Laboratory") -> tuple[np.ndarray, np.ndarray]:
    """The norms of the parts of dL/dW by lag, all weights of the cell as one, and the edges."""
    parts = laboratory["lag_norm"].transpose("step", "parameter", "lag")
    inside = np.isfinite(parts.values).any((0, 2))
    squares_SxPxB = np.square(parts.values[:, inside].astype(float))
    return np.sqrt(squares_SxPxB.sum(1)), laboratory["lag"].values


def slopes(run: Run) -> tuple[float, float]:
    """Of the gradient's profile, before the first update and in the last quarter of training."""
    _, values = run.curve("train", "slope/layer_0/h")
    last = values[-(len(values) // 4 or 1) :]
    finite = last[np.isfinite(last)]
    return float(values[0]), float(np.median(finite)) if len(finite) else float("nan")


def row(run: Run, laboratory: "Laboratory", task: Task) -> list[str]:
    """The entries of the table: score, and every quantity at the start and at the end."""
    test = run.status.get("test")
    score = run.status["status"] if test is None else f"{float(test[task.score]):.3g}"
    pairs = [(*slopes(run), "+.3f")]
    exponents = laboratory["lyapunov"].isel(unit=0, exponent=0).values
    stretch = laboratory["singular"].isel(unit=0, rank=0, span=-1).values
    share, _ = far_share(laboratory, run, task.steps_T)
    pairs += [(exponents[0], exponents[-1], "+.3f"), (stretch[0], stretch[-1], "+.2f")]
    pairs.append((100 * share[0], 100 * share[-1], ".2g"))
    return [score, *(f"{shown(first, form)} → {shown(last, form)}" for first, last, form in pairs)]


def shown(value: float, form: str) -> str:
    """A number of the table; nothing if it does not exist."""
    return "none" if np.isnan(value) else f"{value:{form}}"


def print_table(title: str, task: Task, runs: dict[str, Run]) -> None:
    """A Markdown table of a task."""
    laboratories = {label: load_laboratory(run.path) for label, run in runs.items()}
    label, some = next(iter(laboratories.items()))
    _, lag = far_share(some, runs[label], task.steps_T)
    span = int(some["span"].values[-1])
    baseline = runs[label].baseline()[task.score]
    heads = [title, f"test {task.score}", "slope", "λ₁", f"ln s₁ over {span}", f"lag > {lag}, %"]
    print(f"\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for name, run in runs.items():
        print(f"| {name} | {' | '.join(row(run, laboratories[name], task))} |")
    print(f"| *baseline* | {baseline:.3g} |{'  |' * (len(heads) - 2)}")


def draw_task(axes: Sequence[Axes], title: str, runs: dict[str, Run]) -> None:
    """Three panels of a task: last profile, largest exponent while training, last parts by lag."""
    for (label, run), ink in zip(runs.items(), INKS, strict=True):
        laboratory = load_laboratory(run.path)
        style: Any = {"color": ink, "label": label, "linewidth": 1.4}
        quarter = run.by_lag("h", 0)[-(len(run.steps) // 4 or 1) :].astype(float)
        with np.errstate(divide="ignore"):
            profile_T = np.exp(np.mean(np.log(quarter), 0))
        axes[0].plot(np.where(profile_T > 0, profile_T, np.nan), **style)
        exponents = laboratory["lyapunov"].isel(unit=0, exponent=0)
        axes[1].plot(laboratory["step"], exponents, marker=".", **style)
        norms_SxB, edges_B = by_lag(laboratory)
        shown_B = np.where(norms_SxB[-1] > 0, norms_SxB[-1], np.nan)
        axes[2].plot(np.arange(len(edges_B)), shown_B, marker=".", **style)
    axes[0].set(xlabel="lag, steps", ylabel="||dL/dh_t||", yscale="log")
    axes[0].set_title(f"{title}: profile after training")
    axes[0].invert_xaxis()
    axes[1].axhline(0, color="0.5", linestyle="--", linewidth=0.9)
    axes[1].set(xlabel="training step", ylabel="nats per step")
    axes[1].set_title("largest Lyapunov exponent")
    axes[2].set_xticks(np.arange(len(edges_B)), [str(edge) for edge in edges_B], rotation=60)
    axes[2].set(xlabel="lag, bins up to", ylabel="norm of that part of dL/dW", yscale="log")
    axes[2].set_title("dL/dW by lag after training")


def draw(found: dict[str, dict[str, Run]], file: Path) -> None:
    """A row of panels a task."""
    figure, panels = plt.subplots(
        len(found), 3, figsize=(13, 3.7 * len(found)), layout="constrained", squeeze=False
    )
    for axes, (title, runs) in zip(panels, found.items(), strict=True):
        draw_task(axes, title, runs)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    save(figure, file)
    print(f"\ndrawn: {file}")


def main() -> None:
    """Train what is missing, print the tables, draw the picture, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/gradient_flow"))
    parser.add_argument("--steps", type=int, metavar="N", help="updates of both tasks, to try it")
    known = parser.parse_args()
    began = time.perf_counter()
    configs = {
        (title, label): configuration(
            task, *cell, task.updates if known.steps is None else known.steps
        )
        for title, task in TASKS.items()
        for label, cell in CELLS.items()
    }
    sweep_dir = train(list(configs.values()), known.runs_dir, known.data_dir)
    print(f"trained: {time.perf_counter() - began:.0f} s")
    found: dict[str, dict[str, Run]] = {title: {} for title in TASKS}
    for (title, label), config in configs.items():
        found[title][label] = load_run(run_path(config, known.runs_dir))
    for title, task in TASKS.items():
        print_table(title, task, found[title])
    draw(found, PICTURE if known.steps is None else known.runs_dir / PICTURE.name)
    written = write_report([sweep_dir], known.runs_dir / "report.html")
    print(f"written: {written.file} ({written.size / 1e6:.1f} MB, {written.runs} runs)")


if __name__ == "__main__":
    main()
