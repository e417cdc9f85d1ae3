"""A space of 120 runs: five cells of one size, eight learning rates, three seeds, adding.

    rnnexp sweep --space experiments/learning_rates.py --match-parameters 9940
    rnnexp compare runs/sweeps/NAME --by cell --plot experiments/pictures/learning_rates.png

`sweep` prints the second line with the sweep's name in it. Expected: every cell has a range of
rates; gated cells solve the task over a wide one, the plain RNN over none.
"""

from ml_collections import ConfigDict

from rnnexp.config import experiment
from rnnexp.sweep.space import Space, parse_space


def get_config() -> ConfigDict:
    """What all runs have in common: 50 steps to add over, 1,000 updates."""
    config = experiment("adding/lstm")
    config.task.length_steps = 50
    config.train.batch_size = 32
    config.train.duration_steps = 1000
    return config


def get_space() -> Space:
    """What varies, as after `--sweep` and `--seeds`."""
    axes = ["cell=rnn,lstm,gru,min_gru,lru", "optimizer.learning_rate=log:1e-4..1e-1:8"]
    return parse_space(axes, seeds="3")
