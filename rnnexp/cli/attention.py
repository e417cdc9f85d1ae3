"""The command `inspect --attention`: which sentences a memory network reads, hop by hop."""

import argparse

from rnnexp.cli.output import print_table
from rnnexp.core.axis import step_of
from rnnexp.core.files import to_json


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `rnnexp inspect` that belong to attention."""
    command.add_argument(
        "--attention", action="store_true", help="which sentences a memory network reads in a hop"
    )
    command.add_argument(
        "--example", type=int, metavar="N", help="with --attention: which test question, from 0"
    )


def attention_command(known: argparse.Namespace) -> int:
    """`rnnexp inspect RUN --attention`: a question, its answers, and the weights on sentences."""
    from rnnexp.results.load import find_run
    from rnnexp.run.attention import attended
    from rnnexp.runtime.compilation_cache import keep_programs

    keep_programs()
    path = find_run(known.run, known.runs_dir)
    found = attended(path, known.example or 0, known.data_dir)
    if known.json:
        empty = None if found.empty_K is None else found.empty_K.tolist()
        lists = {"weights_KxM": found.weights_KxM.tolist(), "empty_K": empty}
        print(to_json(found._asdict() | lists, indent=2))
        return 0
    read = list(zip(found.sentences, found.weights_KxM.T, strict=True))
    if found.empty_K is not None:
        read.append(("(empty slots)", found.empty_K))
    steps = [f"{step_of(found.axis)} {n}" for n in range(1, len(found.weights_KxM) + 1)]
    rows: list[dict[str, object]] = [
        {
            "sentence": text,
            **{name: f"{weight:.2f}" for name, weight in zip(steps, own, strict=True)},
        }
        for text, own in read
    ]
    print(str(path))
    print_table(found.question, rows)
    right = "right" if found.given == found.answer else f"wrong: the answer is {found.answer}"
    print(f"answer: {found.given} ({right}); probability of the right one {found.chance:.3g}")
    return 0
