"""The command `analyze`: the laboratory at the checkpoints of a run."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnexp.cli.arguments import add_data_dir, add_run, require_picture_place
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

TEXT = """\
Measures the initial weights, the best, the last two and all kept checkpoints of a run: Lyapunov
exponents, singular values of Jacobian products, spectral radius, gates and their time constants,
parts of dL/dW by lag. Rows go to RUN/laboratory.zarr; steps that are there already are left alone.

Settings of the run's config.laboratory are overridden by --config.laboratory.KEY=VALUE, such as
--config.laboratory.examples=16. Keep more checkpoints with --config.checkpoint.keep_every_steps=N
of `rnnexp run`, or measure while training with --config.laboratory.every_steps=N.
"""
COLUMNS = {
    "step": "step",
    "exponent": "exponent",
    "error": "+-",
    "kaplan_yorke": "Kaplan-Yorke",
    "singular": "ln sigma",
    "span": "k",
    "radius": "radius",
    "gates": "saturated gates",
    "long_lags": "long lags",
}
READING = """\
exponent: the largest Lyapunov exponent, nats per step. Above 0 changes of the state grow (chaos,
exploding gradients); far below 0 they are forgotten (vanishing gradients). Kaplan-Yorke: the
dimension of the attractor, 0 if all is forgotten. ln sigma: the most that dh_{t+k}/dh_t stretches
a change over k steps. radius: the largest spectral radius of the recurrent matrices. saturated
gates: the fraction below 0.1 or above 0.9. long lags: the fraction of dL/dW from the longer half
of all lags; near 0 nothing long-range is learned."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp analyze`."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = TEXT
    add_run(command)
    add_data_dir(command)
    command.add_argument("--again", action="store_true", help="measure all steps anew")
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw it all (png, svg, pdf)")


def analyze_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp analyze`."""
    from rnnexp.config.arguments import read_arguments
    from rnnexp.core.axis import laboratory_step
    from rnnexp.results.load import find_run
    from rnnexp.run.analyze import analyze_run, summary
    from rnnexp.runtime.compilation_cache import keep_programs

    require_picture_place(known.plot)
    keep_programs()
    file, overrides = read_arguments(rest)
    if file is not None:
        raise UsageError("analyze takes no --config=FILE: a run has its own configuration")
    path = find_run(known.run, known.runs_dir)
    found = analyze_run(path, data_dir=known.data_dir, overrides=overrides, again=known.again)
    rows = summary(found.data)
    if known.plot is not None:
        from rnnexp.report.paper_laboratory import draw_laboratory
        from rnnexp.results.frames import load_laboratory

        task, cell, run_id = path.absolute().parts[-3:]
        draw_laboratory(load_laboratory(path), known.plot, f"{task}/{cell} {run_id}")
    if known.json:
        content = {"run": str(path), "measured": found.measured, "skipped": found.skipped}
        print(to_json(content | {"units": rows}, indent=2))
        return 0
    print(str(path))
    skipped = f"; had been measured: {_steps(found.skipped)} (--again measures them anew)"
    print(f"measured: {_steps(found.measured)}{skipped if found.skipped else ''}")
    for unit, figures in rows.items():
        print_table(unit, _renamed(figures))
    if (word := laboratory_step(found.data)) != "step":
        print(f"A step along the axis of this run's cell is one {word}.")
    print(READING)
    if known.plot is not None:
        print(f"drawn: {known.plot}")
    return 0


def _steps(numbers: Sequence[int]) -> str:
    if not numbers:
        return "no step"
    return f"step{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _renamed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the table's headings, without empty columns."""
    kept = [key for key in COLUMNS if any(key in row for row in rows)]
    return [{COLUMNS[key]: row.get(key, float("nan")) for key in kept} for row in rows]
