"""Contenders train, and those that are not installed are missing."""

import jax
import pytest

from rnnexp.bench import contender
from rnnexp.bench.workloads import Workload
from tests.helpers.bench_rows import TINY

WHOLE = TINY._replace(name="whole", layers=2, both_ways=True, lengths=True, record=False)
PAIRS = [
    *((name, TINY) for name in ("rnnexp", "rnnexp, bare step", "flax.linen.RNN")),
    *((name, WHOLE) for name in ("rnnexp", "flax.linen.RNN", "flax.nnx.RNN")),
    *((name, TINY._replace(name="forward", train=False)) for name in ("rnnexp", "flax.nnx.RNN")),
]


@pytest.mark.parametrize(("name", "work"), PAIRS)
def test_contenders_train_and_evaluate(name: str, work: Workload) -> None:
    command = {"workload": list(work), "cell": "gru", "seconds": 0.01}
    if name.startswith("flax"):  # mixes integer types, which the tests forbid
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            answer = contender.answer(name, command)
    else:
        answer = contender.answer(name, command)
    assert answer["steps"] >= 1
    assert answer["ms"] > 0


def test_peers_that_are_not_installed_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contender.PEERS, "torch.nn", "no_such_package")
    assert contender.missing("torch.nn")
    assert not contender.missing("flax.linen.RNN")
    assert not contender.missing("rnnexp")
