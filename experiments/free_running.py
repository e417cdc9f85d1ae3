"""A NARX network on Mackey-Glass that runs on its own output for 100 steps, and the truth.

    python experiments/free_running.py

Trains configs/mackey_glass_narx.py if it has not been, prints the error of the free run
relative to the variance of the series, and draws experiments/pictures/free_running.png.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from rnnexp import run
from rnnexp.config.overrides import from_command_line
from rnnexp.models.forward import ForwardOptions
from rnnexp.report.figures import COLOURS, save
from rnnexp.run.sample import load_trained
from rnnexp.tasks.base import Endless
from rnnexp.train.program import apply_model

HERE = Path(__file__).parent
PICTURE = HERE / "pictures" / "free_running.png"
CONFIG = HERE.parent / "configs" / "mackey_glass_narx.py"


def draw(axes: Axes, truth_T: np.ndarray, said_T: np.ndarray, forced_steps: int) -> None:
    """One test sequence: the truth, what the network says, and where it is left alone."""
    axes.plot(truth_T, color="0.3", label="Mackey-Glass")
    axes.plot(said_T, color=COLOURS[1], label="NARX")
    axes.axvline(forced_steps, color="0.6", linestyle="--", linewidth=1)
    axes.set(xlim=(forced_steps - 50, len(truth_T)), ylabel="x")


def main() -> None:
    """Train if need be, run free on test sequences, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    known = parser.parse_args()
    result = run(from_command_line(None, [f"--config={CONFIG}"]), runs_dir=known.runs_dir)
    print(
        "test:", "  ".join(f"{name} {value:.4g}" for name, value in result.details["test"].items())
    )
    trained = load_trained(result.path)
    task = trained.plan.recipe.task
    assert isinstance(task.test, Endless)
    batch = task.test.draw(jax.random.key(12345), 3)
    options = ForwardOptions(forced_steps=task.forced_steps)
    got = apply_model(trained.plan.recipe, trained.state.params, batch, options)
    truth, said = np.asarray(batch.targets)[..., 0], np.asarray(jnp.squeeze(got.outputs, -1))
    figure, panels = plt.subplots(3, 1, figsize=(9, 6), layout="constrained", sharex=True)
    for index, axes in enumerate(panels):
        draw(axes, truth[:, index], said[:, index], task.forced_steps)
    panels[0].legend(loc="upper left", fontsize="small")
    panels[0].set_title("three test sequences; right of the line the network hears only itself")
    panels[-1].set_xlabel("time step t")
    save(figure, PICTURE)
    print(f"drawn: {PICTURE}")


if __name__ == "__main__":
    main()
