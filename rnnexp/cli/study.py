"""The command `study`: a paper's table, trained and judged."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.cli.arguments import SIGNAL_CODES, require_place
from rnnexp.cli.output import print_table
from rnnexp.cli.sweep import (
    add_place,
    costs_of,
    prepare,
    print_plan,
    require_options,
    save_plan,
    start_plan,
)
from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text, to_json

if TYPE_CHECKING:
    from rnnexp.study.assess import Assessment
    from rnnexp.study.claims import Study
    from rnnexp.study.trainings import Measured
    from rnnexp.sweep.launch import SweepPlan

log = logging.getLogger("rnnexp")
MOST_REASONS = 5
TEXT = """\
A study is a Python file with get_study(); experiments/studies/ has some, and its guide says how to
write one. The command prints the plan, trains what is missing, and prints the paper's table
beside ours with a verdict for every claim. The same command again goes on where it was stopped.

Given a directory instead of a file, it prints one row for every stored result in it.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp study`."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = TEXT
    command.add_argument("study", type=Path, metavar="FILE", help="a Python file, or a directory")
    command.add_argument(
        "--from", dest="stored", type=Path, metavar="RESULTS",
        help="judge the values in a JSON file; train nothing",
    )  # fmt: skip
    command.add_argument(
        "-o", "--output", action="append", default=[], type=Path, metavar="FILE",
        help="write the values (.json) or the table (.md, .tex, .html); may be repeated",
    )  # fmt: skip
    add_place(command)


def study_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp study`."""
    del rest
    from rnnexp.study.load import load_study
    from rnnexp.study.tables import require_ending

    for file in known.output:
        require_ending(file)
        require_place(file)
    if known.study.is_dir():
        return _print_studies(known)
    require_options(known)
    if known.dry_run and (known.stored or known.output):
        raise UsageError("--dry-run judges nothing: leave out --from and -o")
    study = load_study(known.study)
    if known.stored is not None:
        return _judge_stored(study, known)
    return _train_and_judge(study, known)


def _judge_stored(study: "Study", known: argparse.Namespace) -> int:
    """Judge stored values."""
    from rnnexp.study.assess import assess
    from rnnexp.study.store import read_results, require_whole

    stored = read_results(known.stored)
    require_whole(stored, study, known.stored)
    found = assess(
        study, stored.measured, hours=stored.hours, runs=stored.runs,
        stored_hash=stored.claims_hash,
    )  # fmt: skip
    return _print(found, stored.measured, known)


def _train_and_judge(study: "Study", known: argparse.Namespace) -> int:
    """Print the plan, train what is missing, judge."""
    from rnnexp.study.assess import assess
    from rnnexp.study.trainings import busy_seconds, collect, plan_study, trainings

    made = trainings(study)
    names: list[str] = []
    if not known.json:
        _print_claims(study)
    if made:
        prepare(known)
        plan, names = plan_study(made, known.data_dir)
        costs, memory = costs_of(plan, known)
        print_plan(plan, costs, known)
        if not known.dry_run and (code := _train(plan, memory, known)):
            return code
    if known.dry_run:
        return 0
    measured = collect(study, made, names, known.runs_dir)
    hours = busy_seconds([known.runs_dir / name for name in names]) / 3600
    found = assess(study, measured, hours=hours, runs=len(set(names)))
    return _print(found, measured, known)


def _print_claims(study: "Study") -> None:
    """Print what will be claimed, and where the protocol deviates."""
    from rnnexp.study.claims import NotComparable, claims_hash
    from rnnexp.study.tables import title_of

    tested = sum(not isinstance(claim, NotComparable) for claim in study.claims)
    print(title_of(study))
    print(f"{len(study.claims)} claims, {tested} to be tested; their hash is {claims_hash(study)}")
    for text in study.deviations:
        print(f"deviation from the paper: {text}")


def _train(plan: "SweepPlan", memory: Mapping[int, int], known: argparse.Namespace) -> int:
    """Train what is missing; returns an exit code, 0 if every training has ended."""
    from rnnexp.sweep.launch import count_statuses, reasons

    sweep_dir = save_plan(plan, known, None, [str(known.study)])
    if reason := start_plan(sweep_dir, known, memory):
        return SIGNAL_CODES[reason]
    failed = count_statuses(sweep_dir).get("failed", 0)
    for text, count in reasons(sweep_dir, "failed")[:MOST_REASONS]:
        log.error("%d failed: %s", count, text)
    if failed:
        log.error("no verdict without them: rnnexp sweep --retry-failed %s", sweep_dir)
    return 1 if failed else 0


def _print(
    found: "Assessment", measured: "dict[str, dict[int, Measured]]", known: argparse.Namespace
) -> int:
    """Print the table and write the files."""
    from rnnexp.study import tables
    from rnnexp.study.store import write_results

    writers = {".md": tables.markdown, ".tex": tables.latex, ".html": tables.page}
    for file in known.output:
        if file.suffix == ".json":
            write_results(file, found, measured)
        else:
            replace_text(file, writers[file.suffix](found))
    if known.json:
        print(to_json(_as_data(found), indent=2))
        return 0
    print_table(tables.title_of(found.study), [dict(row) for row in tables.rows_of(found)])
    for line in tables.legend(found):
        print(line)
    return 0


def _as_data(found: "Assessment") -> dict[str, Any]:
    from rnnexp.study.tables import legend

    return {
        "study": found.study.name,
        "claims_hash": found.claims_hash,
        "stored_hash": found.stored_hash or None,
        "counts": found.counts,
        "verdicts": found.verdicts,
        "notes": legend(found),
    }


def _print_studies(known: argparse.Namespace) -> int:
    """Print, or write as Markdown, a row for every stored result in a directory."""
    from rnnexp.study.store import read_results
    from rnnexp.study.tables import markdown_table, summary

    if known.stored or known.dry_run:
        raise UsageError("a directory is listed: leave out --from and --dry-run")
    files = sorted(known.study.glob("*.json"))
    if not files:
        raise UsageError(f"{known.study} holds no results; `rnnexp study FILE -o RESULTS.json`")
    rows = summary([read_results(file) for file in files])
    for file in known.output:
        if file.suffix != ".md":
            raise UsageError(f"cannot write {file}: the table of several studies is a .md file")
        replace_text(file, markdown_table(rows) + "\n")
    if known.json:
        print(to_json(rows, indent=2))
    else:
        print_table(f"studies in {known.study}", [dict(row) for row in rows])
    return 0
