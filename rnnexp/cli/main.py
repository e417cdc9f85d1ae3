"""The command line: the parser of all commands, and the exit codes of errors.

Exit codes: 0 done (a divergence is a result), 1 a run failed, 2 bad input, 130 or 143
stopped by SIGINT or SIGTERM, 75 at the end of a time budget, 141 where nobody reads the output
any more. Each command has its own file beside this one. Nothing outside this package prints.
"""

import argparse
import difflib
import errno
import gc
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

from rnnexp.cli import (
    analyze,
    bench,
    compare,
    completion,
    embeddings,
    export,
    inspect,
    report,
    run,
    runs,
    sample,
    study,
    sweep,
    watch,
)
from rnnexp.cli import list as listing
from rnnexp.cli.arguments import SIGNAL_CODES
from rnnexp.cli.completion import VARIABLE, complete
from rnnexp.cli.starting import announcing_jax
from rnnexp.config.arguments import with_equals
from rnnexp.core.errors import RunError, UsageError, first_line
from rnnexp.core.load_module import forget_imports, load_imports

COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "list": (listing, "show what there is"),
    "run": (run, "train one experiment; the same command again resumes it"),
    "sweep": (sweep, "train many runs, and only those that are missing"),
    "study": (study, "a paper's table, trained and judged claim by claim"),
    "compare": (compare, "groups of runs side by side, or single runs"),
    "inspect": (inspect, "show a run's gradient norms through time"),
    "analyze": (analyze, "Lyapunov spectra and more of a run's checkpoints"),
    "report": (report, "many runs as one page that needs no network"),
    "watch": (watch, "that page in the browser, live while runs train"),
    "export": (export, "runs, or their weights, as files for other programs"),
    "sample": (sample, "let a trained run write text, music or an answer"),
    "runs": (runs, "name, tag, delete and put away runs"),
    "embeddings": (embeddings, "show which words a trained run holds alike"),
    "bench": (bench, "a training step beside other libraries"),
    "completion": (completion, "complete commands, names and keys in a shell"),
}
"""By name the command's module, which has `add_arguments` and `NAME_command`, and its help."""
CONFIGURED = ("run", "sweep", "analyze")
"""Commands that take `--config.KEY=VALUE`; all but `analyze` also take `--config=FILE`."""
BRIEF = ("list", "compare", "report")
"""Commands that read very many small records, keep them all, and end: the search for cyclic garbage
would walk over them again and again, a sixth of the time that 10,000 runs take."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _open_closed_streams()
    logging.basicConfig(format="rnnexp: %(message)s", level=logging.ERROR)
    logging.getLogger("rnnexp").setLevel(logging.INFO)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack characters of tables
            stream.reconfigure(errors="backslashreplace")
    try:
        given = with_equals(sys.argv[1:] if arguments is None else arguments)
        if VARIABLE in os.environ:
            complete(parser(), CONFIGURED)
        if not given:
            parser().print_help()
            return 0
        known, rest = parser().parse_known_args(given)
        if rest and known.command not in CONFIGURED:
            raise UsageError(f"unexpected arguments: {' '.join(rest)}")
        with announcing_jax(None if known.json else sys.stderr):
            load_imports(known.imports)
            command = getattr(COMMANDS[known.command][0], f"{known.command}_command")
            with _without_collector() if known.command in BRIEF else nullcontext():
                code: int = command(known, rest)
        sys.stdout.flush()
        return code
    except (UsageError, RunError) as error:
        print(f"rnnexp: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever reads the output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNAL_CODES["SIGPIPE"]
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        name = str(error.filename)
        print(f"rnnexp: a name is too long for a file: {name[:40]}...", file=sys.stderr)
        return UsageError.exit_code
    except (ValueError, RuntimeError) as error:
        if (variable := _variable_in(str(error))) is None:
            raise
        value = os.environ[variable]
        print(f"rnnexp: {variable}={value!r} cannot be used: {first_line(error)}", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        print("rnnexp: interrupted; the same command resumes", file=sys.stderr)
        return SIGNAL_CODES["SIGINT"]
    finally:
        forget_imports()


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams (`2>&-`) ones that lead nowhere.

    Otherwise the first files that it opens take their numbers, and what a library writes to
    number 2 lands in one of them; and Python prints to standard output what is meant for none.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115 - open until the end


@contextmanager
def _without_collector() -> Iterator[None]:
    """No search for cyclic garbage meanwhile."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _variable_in(text: str) -> str | None:
    """The environment variable of JAX's that an error of JAX's names, if it is set."""
    names = [name for name in os.environ if name.startswith("JAX_")]
    return next((name for name in sorted(names, key=len, reverse=True) if name in text), None)


class _Parser(argparse.ArgumentParser):
    """Argparse that raises `UsageError`, with a suggestion for a mistyped command."""

    def error(self, message: str) -> None:  # type: ignore[override]
        typed = message.partition("invalid choice: '")[2].partition("'")[0]
        near = difflib.get_close_matches(typed, [*COMMANDS, *listing.LISTS], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{message}.{hint} See `{self.prog} --help`.")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> object:
        """As argparse does, which would take `--option=--` for an option with an empty list."""
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            self.error(f"argument {'/'.join(action.option_strings)}: expected a value, not '--'")
        values: object = super()._get_values(action, arg_strings)
        return values


class _Version(argparse.Action):
    """`--version`: prints and ends, as `--help` does; the version is looked up only then."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str):
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, *arguments: object) -> None:
        del arguments
        import importlib.metadata

        try:
            print(f"rnnexp {importlib.metadata.version('rnnexp')}")
        except importlib.metadata.PackageNotFoundError:
            print("rnnexp, not installed")
        raise SystemExit(0)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    common = _Parser(add_help=False)
    common.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept")
    common.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="FILE",
        help="a Python file that adds cells or tasks of your own; may be repeated",
    )  # fmt: skip
    common.add_argument("--json", action="store_true", help="print data instead of tables")
    top = _Parser(prog="rnnexp", description="How far gradients flow through time.")
    top.add_argument("--version", action=_Version, help="show the version and its revision")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, parents=[common], help=text, description=text)
        module.add_arguments(command)
    return top
