"""A run as an offline run of Weights & Biases, `DIR/wandb/offline-run-TIME-ID`.

Nothing is sent here; `wandb sync` may send the run later. A program of the package `wandb`
writes the file and ends with this process. The project is `rnnexp`, the group TASK/CELL.
"""

import io
import shutil
from pathlib import Path
from typing import Any

from rnnexp.core.errors import RunError
from rnnexp.core.files import scratch_folder
from rnnexp.export import Exported, run_key, shown_name, with_environment
from rnnexp.export.series import histograms, pictures, scalars
from rnnexp.results.load import Run

PROJECT = "rnnexp"
QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "DO_NOT_TRACK": "true"}


def export(run: Run, directory: Path) -> Exported:
    """Write the run, then remove earlier exports of it in this directory.

    Its id is made from TASK/CELL/ID, so that it is also one run after `wandb sync`.
    """
    directory = directory.resolve()
    with with_environment(QUIET):
        import wandb

        name = run_key(run)
        earlier = sorted((directory / "wandb").glob(f"offline-run-*-{name}"))
        if earlier:  # a directory is named after the second in which it was started
            with scratch_folder(directory) as folder:
                written = _write(wandb, run, name, folder)
                for old in earlier:
                    shutil.rmtree(old)
                target = directory / "wandb" / written.name
                written.rename(target)
        else:
            target = _write(wandb, run, name, directory)
    return Exported(target, bool(earlier), f"wandb sync {target}")


def _write(wandb: Any, run: Run, name: str, directory: Path) -> Path:
    """Write the run below `directory`; returns its path."""
    settings = wandb.Settings(
        console="off", disable_code=True, disable_git=True, save_code=False, silent=True,
        x_disable_machine_info=True, x_disable_meta=True, x_disable_stats=True,
        x_save_requirements=False, reinit="create_new", symlink=False,
        root_dir=str(directory),
    )  # fmt: skip
    notes = f"{run.status['status']} {run.status['reason']}".strip()
    there = wandb.init(
        mode="offline", dir=str(directory), project=PROJECT, id=name, group=run.name,
        name=shown_name(run), config=run.config, notes=notes, settings=settings,
    )  # fmt: skip
    try:
        for step, values in sorted(_rows(wandb, run).items()):
            there.log(values, step=step)
        for key, value in run.status.get("test", {}).items():
            there.summary[f"test/{key}"] = float(value)
        place = Path(there.settings.sync_dir)
    except BaseException:
        there.finish(exit_code=1)
        raise
    there.finish(exit_code=int(run.status["status"] not in ("completed", "pruned", "running")))
    if not list(place.glob("run-*.wandb")):
        raise RunError(f"wandb wrote no run into {place}")
    return place


def _rows(wandb: Any, run: Run) -> dict[int, dict[str, Any]]:
    """The values to log at each step: figures, histograms, and heat maps at the last one."""
    from PIL import Image

    rows: dict[int, dict[str, Any]] = {}
    for figure in scalars(run):
        row = rows.setdefault(figure.step, {})
        row |= {figure.name: figure.value, "_timestamp": figure.time}
    for part in histograms(run):
        drawn = wandb.Histogram(np_histogram=(part.counts, part.edges))
        rows.setdefault(part.step, {})[part.name] = drawn
    last = max(rows, default=0)
    for picture in pictures(run):
        drawn = wandb.Image(Image.open(io.BytesIO(picture.png)), caption=picture.name)
        rows.setdefault(last, {})[f"{picture.name}/heat_map"] = drawn
    return rows
