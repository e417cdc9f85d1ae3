"""Adding, LSTM: the sum of two marked numbers among 50.

    rnnexp run --config=configs/adding_lstm.py

Expected: a test loss of about 1.5e-4 against the baseline 1/6, in about a minute on 2 cores.
"""

from ml_collections import ConfigDict

from rnnexp import experiment


def get_config() -> ConfigDict:
    """The experiment adding/lstm with 50 steps."""
    config = experiment("adding/lstm")
    config.task.length_steps = 50
    return config
