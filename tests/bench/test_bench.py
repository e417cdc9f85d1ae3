"""The benchmark: its arithmetic, its contenders, its command."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rnnexp.bench import contender, results
from rnnexp.bench.floor import matrix_rate
from rnnexp.bench.measure import Contender, Row
from rnnexp.bench.workloads import WORKLOADS, Workload, draw, step_flops
from rnnexp.cli.main import main
from rnnexp.core.errors import RunError

TINY = WORKLOADS["tiny"]


def row() -> Row:
    times = {"rnnexp": [1.0, 2.0, 4.0], "flax.linen.RNN": [3.0, 4.0, 10.0], "torch.nn": [9.0] * 3}
    return Row(TINY, "lstm", times, {"flax.nnx.RNN": "it broke"}, rate=1e9)


def test_ratios_are_taken_round_by_round() -> None:
    found = row()
    assert found.median("rnnexp") == 2.0
    assert found.ratio("flax.linen.RNN") == 2.5  # of 3, 2 and 2.5, and not 4 / 2
    assert found.fastest_peer() == "flax.linen.RNN"
    assert results.summary([found]) == [
        {"fastest peer / rnnexp": "lstm", "tiny": "2.50 (flax.linen.RNN)"}
    ]
    assert found.loop_cost() is None
    assert results.loop_text(found) == ""
    both = found._replace(times=found.times | {"rnnexp, bare step": [0.5, 2.0, 3.2]})
    assert both.loop_cost() == 0.25  # of 1, 0 and 0.25
    assert "costs +25.0% over the bare step" in results.loop_text(both)
    failed = results.table(found)[-1]
    assert failed["contender"] == "flax.nnx.RNN"
    assert failed["ms a step"] == "failed"


def test_operations_of_a_step_by_hand() -> None:
    work = Workload("x", "", steps=2, batch_size=3, input_size=5, hidden_size=7)
    forward, of_states = 2 * 2 * 3 * (5 + 7) * 28, 2 * 2 * 3 * 7 * 28
    of_weights = forward
    assert step_flops(work, "lstm") == forward + of_states + of_weights
    assert row().share("rnnexp") == pytest.approx(step_flops(TINY, "lstm") / 2e-3 / 1e9)


def test_the_batch_is_the_same_for_all_and_has_the_workload_s_shape() -> None:
    x, classes = draw(TINY)
    assert x.shape == (20, 4, 3)
    assert classes.shape == (4,)
    np.testing.assert_array_equal(x, draw(TINY)[0])


def test_the_matrix_rate_is_positive() -> None:
    assert matrix_rate(TINY, "lstm", 0.01) > 0


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


def test_a_contender_that_dies_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Contender("rnnexp") as process, pytest.raises(RunError, match="process of rnnexp died"):
        process.ask(TINY, "lstm", 0.1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--workloads", "W9"], "unknown workload 'W9'"),
        (["--cells", "lstmm"], "Did you mean 'lstm'"),
        (["--rounds", "0"], "--rounds must be at least 1"),
    ],
)
def test_bad_arguments(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every contender in a process of its own, with data and a picture."""
    files = [str(tmp_path / "bench.json"), str(tmp_path / "bench.png")]
    short = ["--rounds", "1", "--seconds", "0.05", "-o", files[0], "--plot", files[1]]
    assert main(["bench", "--workloads", "tiny", "--cells", "lstm", *short]) == 0
    assert "summary" in capsys.readouterr().out
    (found,) = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert set(found["ms"]) >= {"rnnexp", "rnnexp, scan", "flax.linen.RNN", "flax.nnx.RNN"}
    assert not found["failed"]
    assert (tmp_path / "bench.png").stat().st_size > 1000
