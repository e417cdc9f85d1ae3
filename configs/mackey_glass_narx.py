"""Mackey-Glass, NARX: taught one step ahead, then running free for 100 steps.

    rnnexp run --config=configs/mackey_glass_narx.py
    python experiments/free_running.py

The network sees nothing but past values of the series: the true ones in training, and
from 100 steps before the end of an evaluation its own.

Expected: over the 100 free steps a mean squared error of 0.16 times the variance of the
series (NRMSE 0.41); one to two minutes on 2 cores.
"""

from ml_collections import ConfigDict

from rnnexp import experiment


def get_config() -> ConfigDict:
    """The experiment mackey_glass/narx with 20 output delays and no input."""
    config = experiment("mackey_glass/narx")
    config.task.feedback_only = True
    config.cell.input_delay_steps = 0
    config.cell.output_delay_steps = 20
    config.cell.hidden_size = 64
    config.train.duration_steps = 5000
    config.eval.every_steps = 500
    return config
