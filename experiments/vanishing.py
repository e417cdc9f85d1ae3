"""How far dL/dh_t reaches back on MNIST pixel by pixel: tanh RNNs against LSTMs.

    python experiments/vanishing.py --data-dir DATA

Trains each cell for 100 steps of 784 time steps, prints ||dL/dh_t|| by lag before the
first update and after 50 to 100 of them (geometric mean over the records), and draws
both in experiments/pictures/vanishing.png. A second call draws from the finished runs.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from rnnexp import experiment, finish, load_run, run
from rnnexp.report.figures import COLOURS, save
from rnnexp.results.load import Run

CELLS: dict[str, tuple[str, dict[str, float]]] = {
    "rnn, tanh, 0.9 x orthogonal": ("rnn", {"recurrent_scale": 0.9}),
    "rnn, tanh, orthogonal": ("rnn", {}),
    "lstm, forget bias 0": ("lstm", {"forget_bias": 0.0}),
    "lstm, forget bias 1": ("lstm", {"forget_bias": 1.0}),
    "lstm, chrono 784": ("lstm", {"chrono_steps": 784}),
}
LAGS = (0, 50, 100, 250, 500, 783)
MOMENTS = {"before the first update": slice(0, 1), "updates 50 to 95": slice(10, None)}
PICTURE = Path(__file__).parent / "pictures" / "vanishing.png"


def train(name: str, options: dict[str, float], data_dir: Path | None, runs_dir: Path) -> Run:
    """A short run of mnist/NAME by pixel, recorded every five steps."""
    config = experiment(f"mnist/{name}")
    config.task.by = "pixel"
    config.cell.update(options)
    config.train.duration_epochs = None
    config.train.duration_steps = 100
    config.record.every_steps = 5
    trained: Run = load_run(run(finish(config), runs_dir=runs_dir, data_dir=data_dir).path)
    return trained


def profile(run: Run, records: slice) -> np.ndarray:
    """Geometric mean of ||dL/dh_t||, (T,), over some records; 0 where one of them is."""
    norms = run.norms["h"][records, 0].astype(float)
    with np.errstate(divide="ignore"):
        mean: np.ndarray = np.exp(np.mean(np.log(norms), axis=0))
    return mean


def draw(axes: Axes, runs: dict[str, Run], moment: str) -> None:
    """One panel, and its table on the console."""
    print(f"\n||dL/dh_t|| at lag, {moment:26}" + "".join(f"{lag:>9}" for lag in LAGS))
    for index, (label, trained) in enumerate(runs.items()):
        norms = profile(trained, MOMENTS[moment])
        print(f"{label:46}" + "".join(f"{norms[-1 - lag]:9.1e}" for lag in LAGS))
        shown = np.where(norms > 0, norms, np.nan)
        axes.plot(np.arange(len(norms))[::-1], shown, color=COLOURS[index], label=label)
    axes.set(xlabel="lag: steps before the last one", ylabel="||dL/dh_t||", yscale="log")
    axes.set_title(moment)
    axes.invert_xaxis()


def main() -> None:
    """Train what is missing, print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/vanishing"))
    known = parser.parse_args()
    runs = {
        label: train(name, options, known.data_dir, known.runs_dir)
        for label, (name, options) in CELLS.items()
    }
    figure, panels = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained", sharey=True)
    for axes, moment in zip(panels, MOMENTS, strict=True):
        draw(axes, runs, moment)
    panels[0].legend(fontsize="small")
    figure.suptitle("MNIST pixel by pixel, 784 steps")
    PICTURE.parent.mkdir(exist_ok=True)
    save(figure, PICTURE)
    print(f"\ndrawn: {PICTURE}")


if __name__ == "__main__":
    main()
