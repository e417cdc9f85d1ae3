"""Patterns that a Boltzmann machine draws: long chains have its probabilities; the picture."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.free_energy import couplings, energy
from rnnexp.cells.gibbs import Machine
from rnnexp.cli.main import main
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.run.patterns import write_patterns
from rnnexp.run.sample import Trained
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import make_plan
from tests.helpers.bits import all_bits
from tests.helpers.small_run import small_config

SIZES = {"cell.hidden_size": 3, "task.side": 2, "cell.gibbs_steps": 3}


def machine(cell: str) -> tuple[Trained, dict[str, jnp.ndarray]]:
    """An untrained machine with couplings of size 1, and its parameters."""
    config = experiment(f"bars_and_stripes/{cell}")
    config.update_from_flattened_dict(SIZES)
    plan = make_plan(finish(config), data_dir=None, chunk_steps=1)
    state = initial_state(plan)
    random = np.random.default_rng(0)
    layer = state.params["stack"]["layers"][0]
    for name, value in layer.items():
        layer[name] = jnp.asarray(random.normal(size=value.shape), jnp.float32)
    return Trained(plan, state), layer


@pytest.mark.parametrize("cell", ["rbm", "boltzmann"])
def test_the_ends_of_long_chains_have_the_probabilities_of_the_machine(cell: str) -> None:
    trained, params = machine(cell)
    visible, count = jnp.asarray(all_bits(4), jnp.float32), 20_000
    if cell == "rbm":
        own = Machine(params["w"], params["b"], params["c"])
        log_p = -np.asarray(own.free_energies(visible))
    else:
        l_MxM = couplings(params["w"], 7)
        energies = [energy(l_MxM, params["b"], s) for s in jnp.asarray(all_bits(7), jnp.float32)]
        log_p = np.logaddexp.reduce(-np.asarray(energies).reshape(8, 16), axis=0)
    p = np.exp(log_p) / np.exp(log_p).sum()
    drawn = write_patterns(trained, count=count, length=60)
    assert drawn.shape == (count, 4)
    counts = np.bincount((drawn @ 2 ** np.arange(4)).astype(int), minlength=16)
    assert np.max(np.abs(counts - count * p) / (np.sqrt(count * p * (1 - p)) + 1)) < 4.5
    other = write_patterns(trained, count=50, length=60, seed=1)
    assert np.any(other != write_patterns(trained, count=50, length=60))


def test_a_chain_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose units copy one another keeps what it has for all steps."""
    trained, params = machine("boltzmann")
    params["w"], params["b"] = jnp.full(21, 40.0), jnp.full(7, -120.0)
    drawn = write_patterns(trained, count=200, length=30)
    assert set(drawn.sum(1)) == {0.0, 4.0}  # all alike, on or off


def test_only_distributions_draw_patterns() -> None:
    plan = make_plan(small_config(), data_dir=None, chunk_steps=1)
    with pytest.raises(UsageError, match="is no distribution of patterns"):
        write_patterns(Trained(plan, initial_state(plan)))


def test_the_command_draws_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [f"--config.{name}={value}" for name, value in SIZES.items()]
    run = ["run", "bars_and_stripes/rbm", *keys, "--config.train.duration_steps=2"]
    assert main([*run, "--runs-dir", str(tmp_path)]) == 0
    sample = ["sample", "bars_and_stripes/rbm", "--runs-dir", str(tmp_path), "--length", "5"]
    assert main(sample) == 2
    assert "patterns need a file for their picture: -o FILE.png" in capsys.readouterr().err
    assert main([*sample, "-o", str(tmp_path / "x.foo")]) == 2
    assert "its ending must be one of" in capsys.readouterr().err
    file = tmp_path / "x.png"
    assert main([*sample, "-o", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file)}
    assert file.read_bytes()[:4] == b"\x89PNG"
