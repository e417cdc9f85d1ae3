"""The command `sample`: a trained run writes text, music or an answer, or draws pictures."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnexp.cli.arguments import add_data_dir, add_run, refuse, require_picture_place, require_place
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

if TYPE_CHECKING:
    import numpy as np

    from rnnexp.run.sample import Trained

OF_EACH = 10
"""Pictures that are drawn of each class."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp sample`."""
    add_run(command)
    add_data_dir(command)
    command.add_argument("--prompt", help="the text to go on from, the question, or classes")
    command.add_argument(
        "--length",
        type=int,
        help="characters or words, or steps of music or of a Gibbs chain (500)",
    )
    command.add_argument("--temperature", type=float, help="0: always the likeliest (1)")
    command.add_argument("--top-k", type=int, help="draw from so many symbols; 0: all (0)")
    command.add_argument("--beam", type=int, help="answers that are kept and shown (1)")
    command.add_argument(
        "--length-power", type=float, metavar="A",
        help="with --beam: rank answers by ln p / length^A; 0 favours short ones (0)",
    )  # fmt: skip
    command.add_argument("--seed", type=int, help="of the draws (0)")
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where music (.mid) or a picture goes"
    )


DEFAULTS = {
    "prompt": "", "length": 500, "temperature": 1.0, "top_k": 0, "beam": 1, "length_power": 0.0,
    "seed": 0, "output": None,
}  # fmt: skip
TAKES = {
    "an answer": ("prompt", "beam", "length_power"),
    "text": ("prompt", "length", "temperature", "top_k", "seed"),
    "patterns": ("length", "seed", "output"),
    "pictures": ("prompt", "temperature", "top_k", "seed", "output"),
    "music": ("length", "temperature", "seed", "output"),
}
"""By what is written the options that mean something there; the others are refused."""


def sample_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp sample`."""
    require_place(known.output)
    from rnnexp.results.load import find_run
    from rnnexp.run.sample import load_trained
    from rnnexp.runtime.compilation_cache import keep_programs

    keep_programs()
    trained = load_trained(find_run(known.run, known.runs_dir), known.data_dir)
    what = _what(trained)
    for name, default in DEFAULTS.items():
        if name not in TAKES[what]:
            refuse(known, f"{what}, which {trained.plan.recipe.task.name} writes", **{name: None})
        if getattr(known, name) is None:
            setattr(known, name, default)
    WRITERS[what](trained, known)
    return 0


def _what(trained: "Trained") -> str:
    """What a run writes; `UsageError` if that is nothing."""
    from rnnexp.run.sample import NOTES, writes_text

    task = trained.plan.recipe.task
    if task.mode == "asynchronous":
        return "an answer"
    if task.mode == "density":
        return "patterns"
    if task.mode == "one_to_many":
        return "pictures"
    if writes_text(task):
        return "text"
    if task.output_size != NOTES:
        raise UsageError(f"{task.name} makes no music, and writes no text, answers or patterns")
    return "music"


def _answer(trained: "Trained", known: argparse.Namespace) -> None:
    from rnnexp.run.sample import answer

    found = answer(trained, known.prompt, width=known.beam, length_power=known.length_power)
    rows: list[dict[str, object]] = [{"answer": text, "ln p": value} for text, value in found]
    print(to_json(rows, indent=2)) if known.json else print_table(known.prompt, rows)


def _text(trained: "Trained", known: argparse.Namespace) -> None:
    from rnnexp.run.sample import write_text

    space = " " * (known.prompt != "" and trained.plan.recipe.task.alphabet is None)
    text = known.prompt + space + write_text(
        trained, known.prompt, length=known.length, temperature=known.temperature,
        top_k=known.top_k, seed=known.seed,
    )  # fmt: skip
    print(to_json({"text": text}) if known.json else text)


def _patterns(trained: "Trained", known: argparse.Namespace) -> None:
    if known.output is None:
        raise UsageError("patterns need a file for their picture: -o FILE.png")
    require_picture_place(known.output)
    from rnnexp.run.patterns import write_patterns

    _draw(write_patterns(trained, length=known.length, seed=known.seed), known)


def _drawings(trained: "Trained", known: argparse.Namespace) -> None:
    if known.output is None:
        raise UsageError("pictures need a file: -o FILE.png")
    require_picture_place(known.output)
    from rnnexp.run.drawings import class_count, draw_sequences

    asked = known.prompt.replace(",", " ").split() or range(class_count(trained))
    try:
        classes = [int(name) for name in asked for _ in range(OF_EACH)]
    except ValueError as error:
        raise UsageError(
            f"--prompt takes classes, such as 3 or 3,5; not {known.prompt!r}"
        ) from error
    drawn = draw_sequences(
        trained, classes, temperature=known.temperature, top_k=known.top_k, seed=known.seed
    )
    brightest = trained.plan.recipe.task.output_size - 1
    _draw(drawn / brightest, known, columns=OF_EACH)


def _draw(patterns_CxN: "np.ndarray", known: argparse.Namespace, *, columns: int = 0) -> None:
    """Draw patterns into the file that was asked for, and say so."""
    from rnnexp.report.patterns import draw_patterns

    draw_patterns(patterns_CxN, known.output, columns=columns)
    print(to_json({"file": str(known.output)}) if known.json else f"drawn: {known.output}")


def _music(trained: "Trained", known: argparse.Namespace) -> None:
    if known.output is None:
        raise UsageError("music needs a file: -o FILE.mid")
    from rnnexp.data.midi import write_midi
    from rnnexp.run.sample import write_notes

    notes = write_notes(
        trained, length=known.length, temperature=known.temperature, seed=known.seed
    )
    write_midi(known.output, notes)
    sounding = int(notes.sum())
    if known.json:
        print(to_json({"file": str(known.output), "notes": sounding}))
        return
    silent = "" if sounding else f" (silence: no note sounds in its {len(notes)} steps)"
    print(f"written: {known.output}{silent}")


WRITERS = {
    "an answer": _answer, "text": _text, "patterns": _patterns, "pictures": _drawings,
    "music": _music,
}  # fmt: skip
"""By what is written the function that writes it."""
