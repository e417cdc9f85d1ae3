"""Permuted MNIST pixel by pixel, LSTM with chrono initialisation: 784 steps of one pixel.

    rnnexp run --config=configs/permuted_mnist_lstm.py

Expected: 23 % test accuracy after these 300 steps, a twentieth of the ten epochs that
papers train; in about 4 minutes on 2 cores.
"""

from ml_collections import ConfigDict

from rnnexp import experiment


def get_config() -> ConfigDict:
    """The experiment mnist/lstm on permutation 0, a short run."""
    config = experiment("mnist/lstm")
    config.task.by = "pixel"
    config.task.permuted = True
    config.task.permutation_seed = 0
    config.cell.chrono_steps = 784
    config.train.duration_steps = 300
    config.eval.every_steps = 300
    return config
