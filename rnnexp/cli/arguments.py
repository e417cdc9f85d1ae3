"""The arguments of the commands about many runs: sweep and compare."""

import argparse
from pathlib import Path

SWEEP_TEXT = """\
A space is made of --sweep values, which multiply:

  cell=rnn,lstm,gru                          cells (or tasks) to choose from
  optimizer.learning_rate=1e-3,1e-2          a list
  optimizer.learning_rate=log:1e-5..1e-1:10  10 values, evenly spaced logarithms
  model.dropout=linear:0..0.5:6              6 values, evenly spaced
  "zip:cell.hidden_size=32,64;train.batch_size=64,32"   lists that go together
  random:20                                  20 random draws instead of the grid

Any key is set for all runs by --config.KEY=VALUE; --config=FILE takes a configuration file.
Runs that differ only in seed, learning rate, momentum, weight decay, clip threshold, share of
dropout, or in how weights are drawn, train together in one compiled program.
The same command again makes only what is missing.
"""


def add_sweep(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp sweep`."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = SWEEP_TEXT
    command.add_argument("experiment", nargs="?", metavar="TASK/CELL")
    space = command.add_argument_group("space")
    space.add_argument("--sweep", action="append", default=[], metavar="AXIS", help="see below")
    space.add_argument("--space", type=Path, metavar="FILE", help="a Python file with get_space()")
    space.add_argument("--seeds", metavar="N", help="so many seeds of every point, or a list")
    space.add_argument("--draw-seed", type=int, metavar="N", help="of the draws of random:N")
    space.add_argument(
        "--match-parameters", type=int, metavar="N",
        help="choose every cell's width so that the model has N parameters within 1 %%",
    )  # fmt: skip
    place = command.add_argument_group("where and how")
    place.add_argument("--dry-run", action="store_true", help="plan, measure, and start nothing")
    place.add_argument("--name", help="of the sweep's directory (default: from its runs)")
    place.add_argument("--data-dir", type=Path, help="where to look for data files first")
    place.add_argument(
        "--width", type=int, metavar="N",
        help="runs side by side on a device (default: what is measured to be fastest)",
    )  # fmt: skip
    place.add_argument("--executor", default="local", metavar="NAME", help="local, ray or slurm")
    place.add_argument("--jobs", type=int, metavar="N", help="local: groups at a time")
    place.add_argument("--address", help="ray: HOST:PORT of the cluster's head, or auto")
    place.add_argument("--cpus", type=int, metavar="N", help="ray, slurm: cores a group (1)")
    place.add_argument("--gpus", type=float, default=0.0, help="ray, slurm: GPUs a group")
    place.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="slurm: an option of it"
    )
    search = command.add_argument_group("search (needs Optuna)")
    search.add_argument("--search", metavar="SAMPLER", help="tpe or random, in place of a grid")
    search.add_argument("--trials", type=int, default=50, metavar="N", help="runs of the search")
    search.add_argument("--pruner", default="none", help="none, asha or median")
    search.add_argument("--storage", metavar="URL", help="a database that machines can share")
    state = command.add_argument_group("a sweep that was started")
    state.add_argument("--status", type=Path, metavar="DIR", help="how many runs stand where")
    state.add_argument("--retry-failed", type=Path, metavar="DIR", help="try failed runs again")
    state.add_argument("--cancel", type=Path, metavar="DIR", help="checkpoint its runs and stop")


def add_compare(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp compare`."""
    command.add_argument(
        "names", nargs="+", metavar="NAME",
        help="a directory of a sweep or of runs; or two runs or more, each by its directory or id, "
        "or TASK/CELL for the latest",
    )  # fmt: skip
    command.add_argument(
        "-o", "--output", "--plot", type=Path, metavar="FILE",
        help="draw (png, svg, pdf): of a directory the metric over --x; of runs loss, slopes, "
        "profiles and heat maps",
    )  # fmt: skip
    groups = command.add_argument_group("a directory: groups of runs")
    groups.add_argument("--by", metavar="KEYS", help="what to compare (cell)")
    groups.add_argument("--metric", help="such as test_loss, test_accuracy, valid_loss")
    groups.add_argument("--rank", nargs="?", const="cell", metavar="KEY", help="rank over tasks")
    groups.add_argument("--x", metavar="KEY", help="of the picture (optimizer.learning_rate)")
