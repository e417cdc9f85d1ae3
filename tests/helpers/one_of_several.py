"""One of the processes of a run.

    python -m tests.helpers.one_of_several TASK RUNS_DIR PORT PROCESSES NUMBER DEVICES STEPS

The run is `tests.helpers.small_run`'s of that many steps, or with TASK char_lm one on the text in
`RUNS_DIR/text.txt`. Prints how it ended.
"""

import sys
from pathlib import Path

import jax
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import RunError, UsageError
from rnnexp.run.run import run
from rnnexp.runtime.mesh import join
from tests.helpers.small_run import small_config


def configured(task: str, runs_dir: Path, devices: int, steps: int) -> FrozenConfigDict:
    """The run's configuration."""
    if task == "adding":
        return small_config(train__duration_steps=steps, devices=devices)
    config = experiment("char_lm/lstm")
    values = {
        "devices": devices,
        "task.file": str(runs_dir / "text.txt"),
        "task.window_steps": 8,
        "cell.hidden_size": 6,
        "model.dropout": 0.2,
        "train.batch_size": 4,
        "train.duration_steps": steps,
        "eval.every_steps": 20,
        "checkpoint.every_steps": 10,
        "record.every_steps": 3,
    }
    config.update_from_flattened_dict(values)
    return finish(config)


def main() -> None:
    """Join, run, and say how it ended."""
    task, runs_dir = sys.argv[1], Path(sys.argv[2])
    port, processes, number, devices, steps = map(int, sys.argv[3:])
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    try:
        join(f"127.0.0.1:{port}", processes, number, devices=devices)
        result = run(configured(task, runs_dir, devices, steps), runs_dir=runs_dir)
    except (UsageError, RunError) as error:
        print(type(error).__name__, error)
        raise SystemExit(error.exit_code) from error
    print(result.status, result.step, result.reason, sorted(result.details))


if __name__ == "__main__":
    main()
