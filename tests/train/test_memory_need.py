"""What cannot fit into memory is refused before anything is drawn, by the keys that make it so."""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from rnnexp.config.overrides import from_command_line
from rnnexp.core.errors import UsageError
from rnnexp.runtime import memory_size
from rnnexp.train import memory_need
from rnnexp.train.plan import make_plan

MOST = 2**31 - 1


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("cell.hidden_size", MOST, "units take"),
        ("cell.hidden_size", 300_000, "weights, their gradients and the numbers of adam take"),
        ("train.batch_size", MOST, "sequences"),
        ("eval.batch_size", MOST, "a batch to evaluate of 50 steps x 2,147,483,647 sequences"),
        ("model.num_layers", MOST, "layers"),
        ("task.length_steps", MOST, "the states of 2,147,483,647 steps"),
        ("cell.hidden_size", MOST + 1, r"hidden_size must be at most 2,147,483,647 \(32 bits\)"),
        ("eval.examples", 10**400, "not a number of 401 digits"),
        ("laboratory.exponents", 3_000_000_000, "32 bits"),
        ("train.duration_examples", 10**15, "config.train.duration_examples 1,000,000,000,000,000"),
    ],
)
def test_sizes_beyond_the_machine_are_refused_by_name(key: str, value: int, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make_plan(
            from_command_line("adding/lstm", [f"--config.{key}={value}"]),
            data_dir=None,
            chunk_steps=1,
        )
    assert "\n" not in str(caught.value)
    assert f"config.{key}" in str(caught.value) or "the task's length" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["cell.slots=1000000000"], "numbers of cell 'ntm' take .* another option of config.cell"),
        (["model.newton=full", "cell.slots=1000"], "the Jacobians of config.model.newton='full'"),
    ],
)
def test_a_memory_that_does_not_fit_is_refused(changes: list[str], words: str) -> None:
    given = [f"--config.{change}" for change in changes]
    with pytest.raises(UsageError, match=words) as caught:
        make_plan(from_command_line("copy_memory/ntm", given), data_dir=None, chunk_steps=1)
    assert "\n" not in str(caught.value)


def test_the_limit_is_that_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four copies of the weights of an Adam run: themselves, gradients, two moments."""
    config = from_command_line("adding/rnn", ["--config.cell.hidden_size=10"])
    weights = {"w": jax.ShapeDtypeStruct((10, 10), jnp.float32)}
    for total, fits in ((1600, True), (1599, False)):
        monkeypatch.setattr(memory_need, "total_bytes", lambda total=total: total)
        if fits:
            memory_need.require_room_for_weights(config, weights)
        else:
            with pytest.raises(UsageError, match="100 weights"):
                memory_need.require_room_for_weights(config, weights)


def test_long_durations_in_examples_stay_possible(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = from_command_line("adding/rnn", ["--config.train.duration_examples=10000000000"])
    assert make_plan(config, data_dir=None, chunk_steps=1).total_steps == 10**10 // 64


def test_the_machine_has_memory_and_a_group_less(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    total = memory_size.total_bytes()
    assert 2**28 < total < 2**50
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory_size, "CGROUPS", (str(limit),))
    assert memory_size.total_bytes() >= total
    for text, expected in (("1000\n", 1000), ("max\n", None)):
        limit.write_text(text)
        assert memory_size.total_bytes() == (expected or memory_size.total_bytes())
