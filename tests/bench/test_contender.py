"""Contenders train, and those that are not installed are missing."""

import jax
import pytest

from rnnexp.bench import contender


@pytest.mark.parametrize("name", ["rnnexp", "rnnexp, bare step", "flax.linen.RNN"])
def test_contenders_train(name: str) -> None:
    if name.startswith("flax"):  # mixes integer types, which the tests forbid
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            answer = contender.answer(name, {"workload": "tiny", "cell": "gru", "seconds": 0.01})
    else:
        answer = contender.answer(name, {"workload": "tiny", "cell": "gru", "seconds": 0.01})
    assert answer["steps"] >= 1
    assert answer["ms"] > 0


def test_peers_that_are_not_installed_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contender.PEERS, "torch.nn", "no_such_package")
    assert contender.missing("torch.nn")
    assert not contender.missing("flax.linen.RNN")
    assert not contender.missing("rnnexp")
