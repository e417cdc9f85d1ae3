"""Table 1 of Boulanger-Lewandowski et al. 2012, JSB chorales: the published figures beside ours.

    python experiments/boulanger_lewandowski.py --data-dir DATA [--seeds 3] [--rows NAME ...]

"Modeling temporal dependencies in high-dimensional sequences": nats a frame, pooled over all
frames of the test set, the first of a sequence included (`first_step=predicted`). Each network is
trained once a seed, its weights chosen on the validation set. A row has the mean over seeds with
its 95 % interval (Student's t), and the mean minutes of a run.

Note 1-Gram is a closed form of the training set: no run. "NADE without time" is the NADE head over
a cell that sees nothing, so that all frames have one distribution; it is defined here. The machines
of RNN-RBM and RTRBM have 6 hidden units, where the likelihood is exact; the published ones are
larger, and their figures are estimates by annealed importance sampling.

A second call makes only what is missing.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp import experiment, finish, load_run, run
from rnnexp.cells import cell as register
from rnnexp.cells.base import Cell, no_matrices, zero_state
from rnnexp.config.schema import flat, settle_durations
from rnnexp.results.load import Run
from rnnexp.results.statistics import mean_interval
from rnnexp.tasks.music import jsb_chorales


def blind(input_size: int, hidden_size: int) -> Cell:
    """A layer that sees nothing: h_t = b."""
    return Cell(
        name="blind",
        input_size=input_size,
        output_size=hidden_size,
        init=lambda key: {"b": jnp.ones(hidden_size)},
        init_state=zero_state(hidden_size, "h"),
        transition=lambda params, state, x_I: {"h": params["b"]},
        recurrent_matrices=no_matrices,
        parameter_count=hidden_size,
    )


register("blind", modes=("synchronous",))(blind)


class Row(NamedTuple):
    """A row of the table: its label, the published figure, and our cell, head and options."""

    label: str
    published: str
    cell: str
    head: str
    options: dict[str, Any]


BLIND = {"cell.hidden_size": 1, "model.dropout": 0.0, "optimizer.learning_rate": 0.02}
EXACT = {"head.hidden_size": 6}
"""Of machines whose likelihood is enumerated: every frame needs the energies of 2^6 states."""
TIED = {
    "head.tied": True, "cell.activation": "sigmoid", "cell.hidden_size": 6, "model.dropout": 0.0
}  # fmt: skip
ROWS = {
    "nade": Row(
        "NADE without time", "7.19", "blind", "nade",
        BLIND | {"head.hidden_size": 100},
    ),
    "rnn": Row("RNN, independent notes", "8.71 (8.58 by HF)", "rnn", "linear", {}),
    "rnn-rbm": Row("RNN-RBM, 6 hidden units", "6.27", "rnn", "rbm", EXACT),
    "rtrbm": Row("RTRBM, 6 hidden units", "6.35", "rnn", "rbm", EXACT | TIED),
    "rnn-nade": Row(
        "RNN-NADE", "5.83 (5.56 by HF)", "rnn", "nade", {"head.hidden_size": 100}
    ),
}  # fmt: skip
COMMON = {
    "task.first_step": "predicted",
    "cell.hidden_size": 100,
    "model.dropout": 0.2,
    "optimizer.schedule": "cosine",
    "optimizer.learning_rate": 0.005,
    "train.duration_epochs": 80,
    "eval.every_epochs": 5,
    "record.every_steps": 100,
}
"""Of every network; a row's own options come after."""


def configured(row: Row, seed: int) -> FrozenConfigDict:
    """The configuration of a run."""
    config = experiment(f"jsb_chorales/{row.cell}", head=row.head)
    before = flat(config)
    changes = COMMON | row.options | {"seed": seed}
    config.update_from_flattened_dict(changes)
    settle_durations(config, before, list(changes))
    return finish(config)


def minutes(trained: Run) -> float:
    """From the first to the last record of a run."""
    return float(trained.metrics[-1]["time"] - trained.metrics[0]["time"]) / 60


def main() -> None:
    """Train what is missing and print the table row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/boulanger_lewandowski"))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=3)
    known = parser.parse_args()
    print("| model | published | ours | 95 % interval | seeds | minutes a run |")
    print("| --- | --- | --- | --- | --- | --- |")
    task = jsb_chorales(first_step="predicted", data_dir=known.data_dir)
    print(f"| Note 1-Gram | 11.06 | {task.references['loss of per-note marginals']:.2f} | | | |")
    for name in known.rows:
        runs = []
        for seed in range(known.seeds):
            config = configured(ROWS[name], seed)
            result = run(config, runs_dir=known.runs_dir, data_dir=known.data_dir)
            if result.status == "interrupted":
                raise SystemExit(130)
            runs.append(load_run(result.path))
        print(f"| {ROWS[name].label} | {ROWS[name].published} | {summary(runs)} |", flush=True)


def summary(runs: list[Run]) -> str:
    """The cells of a row that are ours; what ended without a test score is said."""
    stopped = [str(one.status["status"]) for one in runs if one.status.get("test") is None]
    if stopped:
        return f"{', '.join(stopped)} | | {len(runs)} | "
    losses = np.array([one.status["test"]["loss"] for one in runs])
    ends = mean_interval(losses)
    between = f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else ""
    spent = np.mean([minutes(one) for one in runs])
    return f"{losses.mean():.2f} | {between} | {len(runs)} | {spent:.1f}"


if __name__ == "__main__":
    main()
