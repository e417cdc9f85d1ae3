"""How far dL/dh_t reaches back on MNIST pixel by pixel: tanh RNNs against LSTMs.

    python experiments/vanishing.py --data-dir DATA

Trains each cell for 100 steps of 784 time steps, prints ||dL/dh_t|| by lag (geometric
mean over the records of the last half of the run) and draws experiments/pictures/vanishing.png.
A second call draws from the finished runs.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from rnnexp import experiment, finish, load_run, run
from rnnexp.report.figures import COLOURS, save
from rnnexp.report.load import Run

CELLS: dict[str, tuple[str, dict[str, float]]] = {
    "rnn, tanh, 0.9 x orthogonal": ("rnn", {"recurrent_scale": 0.9}),
    "rnn, tanh, orthogonal": ("rnn", {}),
    "lstm, forget bias 0": ("lstm", {"forget_bias": 0.0}),
    "lstm, forget bias 1": ("lstm", {"forget_bias": 1.0}),
    "lstm, chrono 784": ("lstm", {"chrono_steps": 784}),
}
LAGS = (0, 50, 100, 250, 500, 783)
PICTURE = Path(__file__).parent / "pictures" / "vanishing.png"


def train(name: str, options: dict[str, float], data_dir: Path | None, runs_dir: Path) -> Run:
    """A short run of mnist/NAME by pixel."""
    config = experiment(f"mnist/{name}")
    config.task.by = "pixel"
    config.cell.update(options)
    config.train.duration_epochs = None
    config.train.duration_steps = 100
    config.record.every_steps = 5
    trained: Run = load_run(run(finish(config), runs_dir=runs_dir, data_dir=data_dir).path)
    return trained


def profile(run: Run) -> np.ndarray:
    """Geometric mean of ||dL/dh_t||, (T,), over the records of the last half; 0 where one is."""
    norms = run.norms["h"][len(run.steps) // 2 :, 0].astype(float)
    with np.errstate(divide="ignore"):
        mean: np.ndarray = np.exp(np.mean(np.log(norms), axis=0))
    return mean


def main() -> None:
    """Train what is missing, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/vanishing"))
    known = parser.parse_args()
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    print(f"{'mean ||dL/dh_t|| at lag':28}" + "".join(f"{lag:>10}" for lag in LAGS))
    for index, (label, (name, options)) in enumerate(CELLS.items()):
        norms = profile(train(name, options, known.data_dir, known.runs_dir))
        print(f"{label:28}" + "".join(f"{norms[-1 - lag]:10.1e}" for lag in LAGS))
        shown = np.where(norms > 0, norms, np.nan)
        axes.plot(np.arange(len(norms))[::-1], shown, color=COLOURS[index], label=label)
    axes.set(xlabel="lag: steps before the last one", ylabel="||dL/dh_t||", yscale="log")
    axes.set_title("MNIST pixel by pixel, training steps 50 to 100")
    axes.invert_xaxis()
    axes.legend(fontsize="small")
    PICTURE.parent.mkdir(exist_ok=True)
    save(figure, PICTURE)
    print(f"drawn: {PICTURE}")


if __name__ == "__main__":
    main()
