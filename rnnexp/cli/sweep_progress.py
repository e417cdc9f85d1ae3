"""A sweep's progress: a line for each group at a terminal's foot, or lines now and then."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.text import Text

from rnnexp.cli.live import Column, LiveArea, is_live, lines
from rnnexp.cli.output import duration_text
from rnnexp.sweep.follow import Follower, GroupState
from rnnexp.sweep.plan_tables import group_values, values_text

log = logging.getLogger("rnnexp")
LOOK_S = 1.0
"""Seconds between two reads of the runs' files; more where reading takes long."""
LOOK_SHARE = 0.05
"""The part of the time that reading may take."""
SAY_S = 30.0
"""Seconds between two reports where there is no terminal."""
MOST_SAID = 8
"""Groups that such a report names."""
MOST_LINES = 24
BAR = 12


class PlainSweep:
    """Logs every `SAY_S` how far the groups are; that they begin and end, executors log."""

    def __init__(self, sweep_dir: Path):
        self.follower = Follower(sweep_dir)
        self.names = group_names(self.follower)
        self.running: tuple[int, ...] = ()
        self.next_look, self.next_report = 0.0, time.monotonic() + SAY_S

    def tick(self, running: Collection[int]) -> None:
        """Take in which groups run; reads their files if it is time to."""
        ended = set(self.running) - set(running)
        self.running = tuple(running)
        begin = time.monotonic()
        if begin < self.next_look and not ended:
            return
        self.follower.look({*running, *ended})
        now = time.monotonic()
        self.next_look = now + max(LOOK_S, (now - begin) / LOOK_SHARE)
        self.looked()

    def looked(self) -> None:
        """Log how far the groups are, if it is time to."""
        if time.monotonic() < self.next_report:
            return
        self.next_report = time.monotonic() + SAY_S
        for group in self.running[:MOST_SAID]:
            log.info("group %d (%s): %s", group, self.names[group], self._said(group))
        if (more := len(self.running) - MOST_SAID) > 0:
            log.info("and %d more groups", more)
        log.info("sweep: %s", self._said(None))

    def _said(self, group: int | None) -> str:
        """`3 of 4 runs ended, loss 0.12, 2 min left` of a group, or of the sweep."""
        states = self.follower.groups.values() if group is None else [self.follower.groups[group]]
        parts = [f"{sum(s.ended for s in states)} of {sum(s.runs for s in states)} runs ended"]
        if group is None:
            left = self.follower.all_seconds_left(self.running)
        else:
            left, loss = self.follower.seconds_left(group), self.follower.groups[group].loss
            parts += [] if loss is None else [f"loss {loss:.3g}"]
        if left is not None:
            parts.append(f"{duration_text(left)} left")
            parts += [f"ends about {clock(left)}"] if group is None else []
        return ", ".join(parts)

    def close(self) -> None:
        """Do nothing."""


class LiveSweep(PlainSweep):
    """Draws a line for each group and one for all, below what is printed meanwhile."""

    def __init__(self, sweep_dir: Path, console: Console):
        super().__init__(sweep_dir)
        self.area = LiveArea(console, self._render)

    def looked(self) -> None:
        """Draw; the first look opens the area."""
        self.area.open()

    def close(self) -> None:
        """Clear the lines."""
        self.area.close()

    def _render(self, width: int, height: int) -> RenderableType:
        groups, running = self.follower.groups, self.running
        shown = shown_groups(groups, running, max(1, min(MOST_LINES, height - 4)))
        left = {group: self.follower.seconds_left(group) for group in running}
        rows = [
            group_columns(self.names[group], groups[group], left.get(group), group in running)
            for group in shown
        ]
        rows.append(total_columns(groups.values(), self.follower.all_seconds_left(running)))
        hidden = [state for group, state in groups.items() if group not in shown]
        table = lines(narrowed(rows, width), width)
        if not hidden:
            return table
        return Group(Text(others_text(hidden), no_wrap=True, overflow="ellipsis"), table)


def open_progress(sweep_dir: Path, *, as_json: bool) -> PlainSweep:
    """The progress of a sweep that is about to start; standard output is not used for JSON."""
    console = Console(stderr=as_json)
    return LiveSweep(sweep_dir, console) if is_live(console) else PlainSweep(sweep_dir)


def group_names(follower: Follower) -> dict[int, str]:
    """By group its experiment, and the values of the keys by which groups of it differ."""
    values = {group: group_values(runs) for group, runs in follower.plan.items()}
    keys = dict.fromkeys(key for some in values.values() for key in some)
    differ = [key for key in keys if len({str(some.get(key)) for some in values.values()}) > 1]
    last = Counter(key.rpartition(".")[2] for key in differ)
    called = {key: key if last[short := key.rpartition(".")[2]] > 1 else short for key in differ}
    names = {}
    for group, runs in follower.plan.items():
        parts = [
            f"{called[key]} {values_text(values[group][key])}"
            for key in differ
            if key in values[group]
        ]
        names[group] = "  ".join([str(Path(runs[0].run).parent), *parts])
    return names


def shown_groups(
    groups: Mapping[int, GroupState], running: Collection[int], most: int
) -> list[int]:
    """The groups that have a line: all, or if they are too many those that run, the first ones."""
    if len(groups) <= most:
        return list(groups)
    return sorted(running)[: most - 1]


def others_text(hidden: Collection[GroupState]) -> str:
    """`and 12 more groups: 3 done, 9 waiting`."""
    kinds = Counter("done" if state.ended == state.runs else "waiting" for state in hidden)
    parts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return f"{len(hidden)} more group{'s' * (len(hidden) > 1)}: {parts}"


def group_columns(name: str, state: GroupState, left: float | None, running: bool) -> list[Column]:
    """A group's line."""
    return [
        Column(0, len(name), name),
        Column(5, BAR, None, state.made / state.runs),
        Column(1, 2 * len(str(state.runs)) + 6, f"{state.ended}/{state.runs} runs"),
        Column(3, 14, "" if state.loss is None else f"loss {state.loss:.3g}"),
        Column(2, 11, group_text(state, left, running)),
        Column(4, 0, ""),
    ]


def group_text(state: GroupState, left: float | None, running: bool) -> str:
    """In at most 11 characters how a group stands, or when it ends."""
    if state.ended == state.runs:
        for status in ("failed", "diverged"):
            if number := state.counts.get(status):
                return f"{number} {status}"
        return "done"
    if not running:
        return "waiting"
    if left is not None:
        return f"{duration_text(left)} left"
    return "compiling" if state.counts.get("running") else "starting"


def total_columns(states: Collection[GroupState], left: float | None) -> list[Column]:
    """The line of the whole sweep."""
    runs, ended = sum(state.runs for state in states), sum(state.ended for state in states)
    left = None if ended == runs else left
    return [
        Column(0, 3, "all"),
        Column(5, BAR, None, sum(state.made for state in states) / runs),
        Column(1, 2 * len(str(runs)) + 6, f"{ended}/{runs} runs"),
        Column(3, 14, ""),
        Column(2, 11, "" if left is None else f"{duration_text(left)} left"),
        Column(4, 14, "" if left is None else f"ends {clock(left)}"),
    ]


def narrowed(rows: list[list[Column]], width: int) -> list[list[Column]]:
    """The rows with names so short that the number of runs and the time left fit beside them."""
    others = max(row[2].width for row in rows) + 11 + 4
    most = max(8, width - others)
    return [[row[0]._replace(width=min(row[0].width, most)), *row[1:]] for row in rows]


def clock(seconds: float) -> str:
    """The time of day in so many seconds, with the weekday if it is not within half a day."""
    then = time.localtime(time.time() + seconds)
    return time.strftime("%H:%M" if seconds < 43200 else "%a %H:%M", then)
