"""Faults in a user's file end a command before anything is written, in one line."""

import re
from pathlib import Path

import jax
import pytest

import rnnexp
from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.train.build import build_model, build_task, cell_maker
from tests.helpers.hostile import H, I, T
from tests.helpers.own_tables import own_tables  # noqa: F401

FILE = """
import dataclasses

import flax.linen as nn
import jax.numpy as jnp

import rnnexp
from rnnexp.models.wrap import from_linen
from rnnexp.tasks.base import Endless
from tests.helpers import hostile
from tests.helpers.flax_cells import ProjectedTwo

def sound(key, batch_size):
    return hostile.draw(key, batch_size)

def missing(key, batch_size):
    return open("/nowhere/prices.csv")

@rnnexp.task("mine", modes=("{mode}",))
def mine():
    return hostile.task({task})

def step(params, state, x):
    return {{'h': state['hidden']}}

@rnnexp.cell("own")
def own(input_size, hidden_size):
    {cell}
"""
RETURN = "return hostile.cell()"
BATCH_OF_ONE = """return hostile.cell(
        init_state=lambda params: {"h": params["b"][None]},
        transition=lambda params, state, x: {"h": jnp.tanh(state["h"] @ params["w"][3:])},
    )"""
ROWS: dict[str, tuple[dict[str, str], str]] = {
    "state": ({"cell": BATCH_OF_ONE}, "cell 'own': init_state gives h as float32 (1, 5), expected"),
    "nothing": ({"cell": "hostile.cell()"}, "cell 'own': the factory gives None, expected a Cell"),
    "factory": (
        {"cell": "raise RuntimeError('no such option\\nat all')"},
        "cell 'own': the factory raises RuntimeError: no such option ({raise RuntimeError})",
    ),
    "step": (
        {"cell": "return hostile.cell(transition=step)"},
        "cell 'own': transition raises KeyError: 'hidden' ({state['hidden']})",
    ),
    "flax": (
        {"cell": "return from_linen(ProjectedTwo(), input_size)"},
        "cannot wrap ProjectedTwo: its output is no leaf of its carry",
    ),
    "mode": (
        {"mode": "sequence_to_one"},
        "task 'mine': mode is 'synchronous', expected sequence_to_one, as it was registered",
    ),
    "steps": ({"task": "num_steps=7"}, "task 'mine': train.draw gives sequences of 6 steps, exp"),
    "draw": (
        {"task": "valid=Endless(missing)"},
        "task 'mine': valid.draw raises FileNotFoundError: [Errno 2] No such file or directory: "
        "'/nowhere/prices.csv' ({return open})",
    ),
}


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize("row", ROWS)
def test_a_fault_is_one_line_and_leaves_nothing(
    row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A place in braces is the line of the file with that text."""
    changes, text = ROWS[row]
    file, runs_dir = tmp_path / "mine.py", tmp_path / "runs"
    file.write_text(FILE.format(**{"mode": "synchronous", "task": "", "cell": RETURN, **changes}))
    code = main(["run", "mine/own", "--import", str(file), "--runs-dir", str(runs_dir)])
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(lines) == 1
    for number, line in enumerate(file.read_text().splitlines(), 1):
        for marker in re.findall(r"{(.*)}", text):
            text = text.replace(f"{{{marker}}}", f"{file}:{number}") if marker in line else text
    assert lines[0].startswith(f"rnnexp: {text}")
    assert not runs_dir.exists()


@pytest.mark.usefixtures("own_tables")
def test_a_cell_is_made_and_checked_once_a_size_and_layer() -> None:
    made = []

    def counted(input_size: int, hidden_size: int, *, layer: int = 0) -> rnnexp.Cell:
        """Counted."""
        from rnnexp.cells.rnn import rnn

        made.append((input_size, layer))
        return rnn(input_size, hidden_size)

    rnnexp.cell("counted")(counted)
    config = rnnexp.experiment("adding/counted")
    config.model.num_layers = 3
    config.cell.hidden_size = H
    frozen = rnnexp.finish(config)
    task = build_task("adding")
    make_cell = cell_maker(frozen, task)
    assert make_cell(I, 0) is make_cell(I, 0)
    assert made == [(I, 0)]
    jax.eval_shape(lambda key: build_model(frozen, task, key).units() and key, jax.random.key(0))
    assert made[1:] == [(2, 0), (H, 1), (H, 2)]


@pytest.mark.usefixtures("own_tables")
def test_a_network_of_the_wrong_size_is_refused() -> None:
    from tests.helpers import hostile

    def network(input_size: int, hidden_size: int) -> rnnexp.Cell:
        """One that ignores the size of the outputs."""
        return hostile.cell(is_network=True)

    rnnexp.cell("network", modes=("synchronous",))(network)
    rnnexp.task("mine", modes=("synchronous",))(lambda: hostile.task(num_steps=T))
    frozen = rnnexp.finish(rnnexp.experiment("mine/network"))
    with pytest.raises(UsageError, match="'network': output_size is 5, expected 2, the outputs of"):
        build_model(frozen, build_task("mine"), jax.random.key(0))
