"""Bach's chorales, next frame of a piano roll: LSTM, early-stopped on validation.

    rnnexp run --config=configs/jsb_lstm.py
    rnnexp sample jsb_chorales/lstm -o chorale.mid

Expected: @@JSB@@
"""

from ml_collections import ConfigDict

from rnnexp import experiment


def get_config() -> ConfigDict:
    """The experiment jsb_chorales/lstm with dropout above the layer."""
    config = experiment("jsb_chorales/lstm")
    config.model.dropout = 0.3
    return config
