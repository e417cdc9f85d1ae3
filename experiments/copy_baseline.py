"""Copy memory against its baseline: an RNN with delay 100 and an LSTM with delay 10.

    python experiments/copy_baseline.py

Prints final test losses beside 10 ln 8 / (T + 20), the loss of the best answer without
memory, and draws experiments/pictures/copy_baseline.png.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

from rnnexp import experiment, finish, load_run, run
from rnnexp.report.figures import draw_loss, save

RUNS = {"rnn": 100, "lstm": 10}
PICTURE = Path(__file__).parent / "pictures" / "copy_baseline.png"


def main() -> None:
    """Train what is missing, print the losses, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/copy_baseline"))
    runs_dir = parser.parse_args().runs_dir
    runs, labels = [], []
    for cell, delay in RUNS.items():
        config = experiment(f"copy_memory/{cell}")
        config.task.delay_steps = delay
        result = run(finish(config), runs_dir=runs_dir)
        runs.append(load_run(result.path))
        labels.append(f"{cell}, delay {delay}")
        loss, baseline = result.details["test"]["loss"], runs[-1].baseline()["loss"]
        print(f"{labels[-1]}: test loss {loss:.4f}, baseline {baseline:.4f}")
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    draw_loss(axes, runs, labels)
    save(figure, PICTURE)
    print(f"drawn: {PICTURE}")


if __name__ == "__main__":
    main()
