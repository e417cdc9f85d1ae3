"""A run of a user's own cell on a user's own task from a file, made by another process."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

USER_FILE = '''
import jax
import jax.numpy as jnp

import rnnexp
from rnnexp.tasks.base import Endless, Score
from rnnexp.core.types import Batch


@rnnexp.task("mytask", modes=("synchronous",))
def mytask(*, length_steps: int = 7):
    """Say again what was just said."""

    def draw(key, batch_size):
        x = jax.random.normal(key, (length_steps, batch_size, 2))
        return Batch(x, x)

    def scores(outputs, batch):
        error_B = jnp.sum(jnp.square(outputs - batch.targets), (0, 2))
        return {"loss": Score(error_B, jnp.full(error_B.shape, 2.0 * length_steps))}

    source = Endless(draw)
    return rnnexp.Task(
        name="mytask", mode="synchronous", input_size=2, output_size=2, num_steps=length_steps,
        train=source, valid=source, test=source, scores=scores, baseline={"loss": 1.0},
        headline="loss", higher_is_better=False,
    )


@rnnexp.cell("mycell")
def mycell(input_size, hidden_size, *, leak: float = 0.5):
    """Leaky integrator."""
    return rnnexp.Cell(
        name="mycell", input_size=input_size, output_size=hidden_size,
        init=lambda key: {"w": jax.random.normal(key, (input_size, hidden_size))},
        init_state=lambda params: {"h": jnp.zeros(hidden_size)},
        transition=lambda params, state, x: {"h": leak * state["h"] + x @ params["w"]},
        parameter_count=input_size * hidden_size,
    )
'''
CHANGES = {
    "cell.leak": "0.9",
    "cell.hidden_size": "4",
    "train.duration_steps": "3",
    "record.every_steps": "1",
    "eval.examples": "64",
}


class UserRun(NamedTuple):
    """A run of the user's own cell on the user's own task, made by another process."""

    file: Path
    runs_dir: Path
    path: Path
    stdout: str


def run_user_file(file: Path, runs_dir: Path) -> str:
    """`rnnexp run mytask/mycell` in another process; returns what it prints."""
    command = [sys.executable, "-m", "rnnexp", "run", "mytask/mycell", "--import", str(file)]
    command += ["--runs-dir", str(runs_dir), *(f"--config.{k}={v}" for k, v in CHANGES.items())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=runs_dir.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_user_run(folder: Path) -> UserRun:
    """The run, in a folder of its own."""
    file, runs_dir = folder / "mine.py", folder / "runs"
    file.write_text(USER_FILE)
    stdout = run_user_file(file, runs_dir)
    (path,) = (runs_dir / "mytask" / "mycell").iterdir()
    return UserRun(file, runs_dir, path, stdout)
