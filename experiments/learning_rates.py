"""A space of 96 runs: four cells of one size, eight learning rates, three seeds, adding.

    rnnexp sweep --space experiments/learning_rates.py --match-parameters 9940
    rnnexp compare runs/sweeps/NAME --by cell --plot experiments/pictures/learning_rates.png

`sweep` prints the second line with the sweep's name in it. Expected, in about six minutes: the
gated cells come below 0.001 at rates around 0.02, the plain RNN stays at the baseline at every one.
"""

from ml_collections import ConfigDict

from rnnexp.config.schema import experiment
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
    axes = ["cell=rnn,lstm,gru,minimal_gated", "optimizer.learning_rate=log:1e-4..1e-1:8"]
    return parse_space(axes, seeds="3")
