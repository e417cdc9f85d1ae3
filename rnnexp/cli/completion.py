"""The command `completion`: what a shell needs to complete commands, names and keys.

The script that it prints calls rnnexp at every press of the tabulator key, through the library
argcomplete. `complete` answers; it reads names and keys without importing JAX, and runs no code of
the user's.
"""

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

if TYPE_CHECKING:
    from rnnexp.core.registry import Table

SHELLS = {"bash": "bash", "zsh": "zsh", "fish": "fish"}
"""By shell the name that argcomplete has for it."""
INSTALL = {
    "bash": 'eval "$(rnnexp completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(rnnexp completion zsh)" in ~/.zshrc, after compinit',
    "fish": "rnnexp completion fish > ~/.config/fish/completions/rnnexp.fish",
}
"""By shell the line that turns completion on."""
VARIABLE = "_ARGCOMPLETE"
"""The environment variable by which a shell's script asks for completions."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp completion`."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = "\n".join(f"{shell}: {line}" for shell, line in INSTALL.items())
    command.add_argument("shell", choices=SHELLS)


def completion_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp completion SHELL`."""
    import argcomplete

    script: str = argcomplete.shellcode(["rnnexp"], shell=SHELLS[known.shell])
    content = {"shell": known.shell, "install": INSTALL[known.shell], "script": script}
    print(to_json(content, indent=2) if known.json else script)
    return 0


def complete(parser: argparse.ArgumentParser, configured: Iterable[str]) -> None:
    """Answer a shell's question and end the process.

    Args:
      parser: of all commands.
      configured: the commands that take `--config.KEY=VALUE`.
    """
    import argcomplete

    line = os.environ.get("COMP_LINE", "")
    (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in subparsers.choices.items():
        for action in command._actions:
            if (completer := COMPLETERS.get(action.dest)) is not None:
                action.completer = completer
        if name in configured and name in line.split():
            _add_keys(command, line)
    argcomplete.autocomplete(parser, always_complete_options=False)


def _add_keys(command: argparse.ArgumentParser, line: str) -> None:
    """Add `--config` and `--config.KEY` of the experiment that the line names, for completion."""
    command.add_argument("--config", metavar="FILE")
    for key, default in keys(line).items():
        if key in ("task.name", "cell.name"):  # fixed by TASK/CELL
            continue
        action = command.add_argument(f"--config.{key}")
        if isinstance(default, bool):
            action.choices = ("true", "false")
        elif key in (tables := _tables()):
            action.choices = tables[key].names()


def keys(line: str) -> dict[str, Any]:
    """The keys with their defaults: those of the TASK/CELL on a line, or of every experiment."""
    from rnnexp.config.defaults import KEYS
    from rnnexp.config.schema import experiment, flat

    for name in re.findall(r"(?<!\S)\w+/\w+(?!\S)", line):
        try:
            return flat(experiment(name))
        except UsageError:
            continue
    return {key: row.default for key, row in KEYS.items()}


def _experiments(parsed_args: argparse.Namespace, **given: object) -> list[str]:
    """TASK/CELL; `list` takes it with `keys` alone."""
    if getattr(parsed_args, "what", "keys") != "keys":
        return []
    from rnnexp.config.schema import pairs

    return [f"{task}/{cell}" for task, cell in pairs()]


def _runs(parsed_args: argparse.Namespace, prefix: str, **given: object) -> list[str]:
    """TASK/CELL and the ids of the runs there are, and files."""
    from argcomplete.completers import FilesCompleter

    from rnnexp.results.index import scan

    found = [run for run, _ in scan(parsed_args.runs_dir or Path("runs"))]
    names = dict.fromkeys(part for run in found for part in run.rsplit("/", 1))
    return [*names, *FilesCompleter()(prefix=prefix)]


def _axes(**given: object) -> list[str]:
    return ["task=", "cell=", *(f"{key}=" for key in keys(os.environ.get("COMP_LINE", "")))]


def _exporters(**given: object) -> list[str]:
    from rnnexp.export import EXPORTERS

    return [*EXPORTERS]


def _tables() -> dict[str, "Table"]:
    """The tables in which the values of keys are looked up."""
    from rnnexp.config.choices import BY_KEY
    from rnnexp.models.heads import HEADS

    return {"head.name": HEADS, **BY_KEY}


COMPLETERS = {
    "experiment": _experiments, "run": _runs, "runs": _runs, "names": _runs, "again": _runs,
    "origin": _runs, "sweep": _axes, "to": _exporters,
}  # fmt: skip
"""What completes an argument, by its name in the parsed arguments; the others are files."""
