"""The command line of a sweep of small runs."""

from pathlib import Path

SPACE = [
    "--sweep", "cell=rnn,lstm", "--sweep", "optimizer.learning_rate=log:1e-3..1e-1:2", "--seeds",
    "2", "--config.task.length_steps=8", "--config.cell.hidden_size=4",
    "--config.train.duration_steps=120", "--config.eval.every_steps=30",
    "--config.checkpoint.every_steps=20", "--config.eval.examples=32",
    "--config.train.batch_size=8", "--width", "1",
]  # fmt: skip


def sweep(runs_dir: Path) -> list[str]:
    """The arguments of a sweep of 8 small runs in 2 groups."""
    return ["sweep", "adding", *SPACE, "--runs-dir", str(runs_dir)]
