"""The command `inspect`: a run's gradient norms, its memory or nodes, how it diverged."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rnnexp.cli import attention
from rnnexp.cli.arguments import add_run, refuse, require_picture_place
from rnnexp.cli.output import bars_width, print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp inspect`."""
    add_run(command)
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw them (png, svg, pdf)")
    command.add_argument(
        "--divergence", action="store_true", help="how it diverged, and that step computed again"
    )
    command.add_argument(
        "--memory",
        action="store_true",
        help="the slots of its external memory along one example: weights and adjoints",
    )
    command.add_argument(
        "--nodes",
        action="store_true",
        help="of a graph network: adjoints by a node's distance from the answer, Dirichlet energy",
    )
    command.add_argument(
        "--beams", metavar="W,W",
        help="of an encoder-decoder: what beams of these widths find, such as 1,2,4,8",
    )  # fmt: skip
    command.add_argument(
        "--length-power", type=float, default=0.0, metavar="A",
        help="with --beams: hypotheses are ranked by ln p / length^A",
    )  # fmt: skip
    command.add_argument(
        "--data-dir",
        type=Path,
        help="with --divergence, --memory, --nodes, --beams or --attention: where to look for data "
        "files first",
    )
    attention.add_arguments(command)


def inspect_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp inspect`."""
    if known.divergence and known.memory:
        raise UsageError("--memory does not go with --divergence; ask for one of them")
    if known.example is not None and not known.attention:
        raise UsageError("--example names a test question; it goes with --attention")
    if known.length_power and known.beams is None:
        raise UsageError("--length-power ranks hypotheses; it goes with --beams")
    if known.divergence:
        refuse(known, "--divergence", attention=False, nodes=False, beams=None)
        if known.plot is not None:
            raise UsageError("--plot draws a run's gradients; it does not go with --divergence")
        from rnnexp.cli.divergence import divergence_command

        return divergence_command(known)
    if known.attention:
        refuse(known, "--attention", plot=None, memory=False, nodes=False, beams=None)
        return attention.attention_command(known)
    require_picture_place(known.plot)
    if known.memory:
        refuse(known, "--memory", nodes=False, beams=None)
        return _memory(known)
    if known.beams is not None:
        refuse(known, "--beams", nodes=False)
        return _beams(known)
    if known.nodes:
        return _nodes(known)
    if known.data_dir is not None:
        raise UsageError(
            "--data-dir is for the replay of a step and for an example to look at; it goes with "
            "--divergence, --memory, --nodes, --beams or --attention"
        )
    from rnnexp.report import table
    from rnnexp.results.load import find_run, load_run

    run = load_run(find_run(known.run, known.runs_dir))
    if known.plot is not None:
        from rnnexp.report.figures import draw_run

        draw_run(run, known.plot)
    if known.json:
        print(to_json(table.as_data(run)))
        return 0
    for line in table.headlines(run):
        print(line)
    for title, rows in table.gradient_tables(run, bars_width(table.WIDTH)):
        print_table(title, rows)
    if known.plot is not None:
        print(f"drawn: {known.plot}")
    return 0


def _memory(known: argparse.Namespace) -> int:
    """`rnnexp inspect --memory`."""
    from rnnexp.report.memory_slots import draw_memory, slot_rows, slots_data, slots_title
    from rnnexp.run.memory_slots import memory_of_run

    path = _run_to_measure(known)
    found = memory_of_run(path, data_dir=known.data_dir)
    _show(
        known, path, found.step, {"units": slots_data(found.units)},
        [
            (slots_title(unit, data, found.step), slot_rows(data))
            for unit, data in found.units.items()
        ],
        partial(draw_memory, found.units),
    )  # fmt: skip
    return 0


def _beams(known: argparse.Namespace) -> int:
    """`rnnexp inspect --beams`."""
    from rnnexp.report.beam_widths import draw_beams
    from rnnexp.run.beam_widths import beams_of_run

    try:
        widths = [int(width) for width in known.beams.split(",")]
    except ValueError as error:
        raise UsageError(f"--beams takes widths, such as 1,2,4; not {known.beams!r}") from error
    path = _run_to_measure(known)
    found = beams_of_run(path, widths, length_power=known.length_power, data_dir=known.data_dir)
    rows = [{k: v for k, v in row._asdict().items() if v is not None} for row in found.rows]
    data = {"examples": found.examples, "beams": rows}
    if found.bleu_note:
        data["bleu_note"] = found.bleu_note
    of_what = f"{found.examples} validation examples"
    if known.length_power:
        of_what += f", ranked by ln p / length^{known.length_power:g}"

    def draw(file: Path, title: str) -> None:
        draw_beams(found.rows, file, f"{title}, {of_what}")

    title = f"beams at step {found.step}, {of_what}"
    _show(known, path, found.step, data, [(title, rows)], draw)
    if found.bleu_note and not known.json:
        print(found.bleu_note)
    return 0


def _nodes(known: argparse.Namespace) -> int:
    """`rnnexp inspect --nodes`."""
    from rnnexp.report.node_adjoints import draw_nodes, node_rows, nodes_data, nodes_title
    from rnnexp.run.node_adjoints import nodes_of_run

    path = _run_to_measure(known)
    found = nodes_of_run(path, data_dir=known.data_dir)
    _show(
        known, path, found.step, {"nodes": nodes_data(found.data)},
        [(nodes_title(found.data, found.step, found.examples), node_rows(found.data))],
        partial(draw_nodes, found.data),
    )  # fmt: skip
    return 0


def _run_to_measure(known: argparse.Namespace) -> Path:
    """The directory of the run, of which programs are compiled and kept."""
    from rnnexp.results.load import find_run
    from rnnexp.runtime.compilation_cache import keep_programs

    keep_programs()
    return find_run(known.run, known.runs_dir)


def _show(
    known: argparse.Namespace,
    path: Path,
    step: int,
    data: dict[str, Any],
    tables: list[tuple[str, list[dict[str, object]]]],
    draw: Callable[[Path, str], object],
) -> None:
    """What was measured at a training step of a run: drawn, and printed as data or as tables."""
    if known.plot is not None:
        task, cell, run_id = path.absolute().parts[-3:]
        draw(known.plot, f"{task}/{cell} {run_id}, step {step}")
    if known.json:
        print(to_json({"run": str(path), "step": step, **data}))
        return
    print(str(path))
    for title, rows in tables:
        print_table(title, rows)
    if known.plot is not None:
        print(f"drawn: {known.plot}")
