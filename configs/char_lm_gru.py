"""Tiny Shakespeare, character by character: a GRU of 256 units, truncated BPTT over 64.

    rnnexp run --config=configs/char_lm_gru.py
    rnnexp sample char_lm/gru --prompt "ROMEO:" --temperature 0.8

Expected: 1.59 nats per character (2.29 bits), the best of ten validations on the last tenth of
the text, where 4-grams have 1.78; a quarter of an hour on 2 cores. The figures of nanoGPT are
validation scores of that tenth too, so this configuration keeps no test part, and what the run
calls its test is that validation. Without the two lines about the split, which is the task's
default, the last twentieth of the text is a test part that nothing is chosen by.
"""

from ml_collections import ConfigDict

from rnnexp import experiment


def get_config() -> ConfigDict:
    """The experiment char_lm/gru, 5,000 windows of 64 x 64 characters."""
    config = experiment("char_lm/gru")
    config.task.valid_fraction = 0.1
    config.task.test_fraction = 0.0
    config.cell.hidden_size = 256
    config.train.batch_size = 64
    config.model.dropout = 0.2
    config.train.duration_steps = 5000
    config.eval.every_steps = 500
    config.checkpoint.every_steps = 500
    return config
