"""The command `sweep --search`: Optuna chooses the settings."""

import argparse
from collections.abc import Sequence

from rnnexp.cli.arguments import SIGNAL_CODES, read_space, refuse
from rnnexp.cli.output import print_table
from rnnexp.core.files import to_json


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of a search, as a group of those of `rnnexp sweep`."""
    search = command.add_argument_group("search (needs Optuna)")
    search.add_argument("--search", metavar="SAMPLER", help="tpe or random, in place of a grid")
    search.add_argument("--trials", type=int, default=50, metavar="N", help="runs of the search")
    search.add_argument("--pruner", default="none", help="none, asha or median")
    search.add_argument("--storage", metavar="URL", help="a database that machines can share")


def search_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp sweep --search SAMPLER`."""
    refuse(
        known, "--search", dry_run=False, match_parameters=None, executor="local", jobs=None,
        cpus=None, address=None, gpus=0.0, slurm=[],
    )  # fmt: skip
    space, base = read_space(known, rest)
    from rnnexp.runtime.allocator import keep_memory
    from rnnexp.runtime.compilation_cache import keep_programs
    from rnnexp.sweep.directory import sweep_folder
    from rnnexp.sweep.lanes import RunPaths
    from rnnexp.sweep.search.search import StudyLocation, search
    from rnnexp.sweep.search.spec import SearchSettings

    keep_memory()
    keep_programs()
    name = _name(known, rest) if known.name is None else known.name
    sweep_dir = sweep_folder(known.runs_dir, name)
    settings = SearchSettings(
        trials=known.trials, sampler=known.search, pruner=known.pruner,
        seed=known.draw_seed or 0, width=known.width,
    )  # fmt: skip
    paths = RunPaths(known.runs_dir, known.data_dir)
    location = StudyLocation(name, sweep_dir, known.storage)
    summary = search(space, base, settings, location, paths)
    if known.json:
        from dataclasses import asdict

        print(to_json(asdict(summary), indent=2))
    else:
        if (best := summary.best) is not None:
            figures = {f"validation {best.metric}": best.validation}
            figures |= {f"test {best.metric}": best.test}
            print_table("best by validation", [{"run": best.run, **best.values, **figures}])
        parts = ", ".join(f"{count} {status}" for status, count in summary.counts.items())
        print(f"{sum(summary.counts.values())} trials: {parts}")
        print(f"rnnexp compare {sweep_dir}")
    if summary.stopped:
        return SIGNAL_CODES[summary.stopped]
    return 1 if summary.counts.get("failed") else 0


def _name(known: argparse.Namespace, rest: Sequence[str]) -> str:
    """A name for a search, by which the same command resumes it on any machine."""
    import hashlib
    import json

    facts = [known.experiment, known.sweep, str(known.space), known.seeds, known.search]
    text = json.dumps([*facts, known.pruner, known.draw_seed, list(rest)])
    return f"search-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
