"""The queries of associative recall ask for every pair alike."""

import numpy as np

from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of, spread


def test_queries_ask_for_every_pair() -> None:
    task = build_task("associative_recall", pairs=3, symbols=5)
    symbols = np.asarray(batch_of(task, 6000).inputs_TxBxI).argmax(-1)
    asked = (symbols[:-1:2] == symbols[-1]).sum(1) / 6000
    np.testing.assert_allclose(asked, 1 / 3, atol=spread(3, 6000))
