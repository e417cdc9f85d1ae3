"""The command `watch`: the report's page, live while runs train."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnexp.cli.arguments import SIGNAL_CODES
from rnnexp.core.files import to_json


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp watch`."""
    command.add_argument(
        "directory", nargs="?", type=Path, metavar="DIR",
        help="of runs, of a sweep, or of a run (--runs-dir); it may come into being later",
    )  # fmt: skip
    command.add_argument(
        "--port", type=int, default=0, help="of this machine; default: any that is free"
    )
    command.add_argument(
        "--open", action="store_true",
        help="in the browser too; its command line, which other users see, then has the token",
    )  # fmt: skip


def watch_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp watch [DIR]`."""
    from rnnexp.report.watch.serve import listen, require_watchable, serve

    directory = known.runs_dir if known.directory is None else known.directory
    require_watchable(directory)
    place = listen(known.port)

    def tell() -> None:
        if known.json:
            facts = {"directory": str(directory), "port": place.port, "address": place.address}
            print(to_json(facts), flush=True)
        else:
            if not directory.exists():
                print(f"{directory} does not exist yet: the page waits for its first run")
            print(f"{place.address}\nCtrl-C ends it", flush=True)
        if known.open:
            import webbrowser

            webbrowser.open(place.address)

    return SIGNAL_CODES[serve(directory, place, tell)]
