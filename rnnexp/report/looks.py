"""Looks of the runs in a picture: a colour, a dash and a marker each, and never two alike."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from rnnexp.core.errors import UsageError


class Kinds(NamedTuple):
    """How many colours, dashes and markers a picture has."""

    colours: int
    dashes: int
    markers: int


class Look(NamedTuple):
    """The numbers of a colour, a dash and a marker."""

    colour: int
    dash: int
    marker: int


class Looks(NamedTuple):
    """The looks of some runs, in their order.

    Attributes:
      colour: what has a colour of its own, as long as there are colours: `cell`, `setting`,
        `run`, or `page` where nothing has.
      owners: how many of these there are.
      unit: what has a look of its own: `run`, or a group whose runs are drawn alike, `setting`,
        `cell` or `page`.
      units: how many of these there are.
    """

    looks: list[Look]
    colour: str
    owners: int
    unit: str
    units: int


PAGE = Kinds(colours=7, dashes=4, markers=8)
"""The looks of a page. In a picture of points, which have no dash, the filling of the marker
(full, open, with a dot, open with a dot) says which dash it is: see `style.js`."""


def look_by_number(number: int, kinds: Kinds) -> Look:
    """The look of the n-th of some alternatives: colours vary first, then dashes and markers.

    Raises `UsageError` if there are fewer looks.
    """
    if number >= kinds.colours * kinds.dashes * kinds.markers:
        raise UsageError(
            f"a picture can tell {kinds.colours * kinds.dashes * kinds.markers} things apart by "
            "colour, dash and marker, but here are more; name fewer, or write a page of them by "
            "`rnnexp report`, which draws groups"
        )
    turn, colour = divmod(number, kinds.colours)
    return _variant(colour, turn, kinds)


def run_looks(
    cells: Sequence[Hashable], settings: Sequence[Hashable], kinds: Kinds = PAGE
) -> Looks:
    """The looks of runs on a page.

    A colour says the cell; if all runs have one cell, the setting; if they have one setting, the
    run. Colours repeat if there are too few. Dash and marker tell apart what shares a colour. More
    runs than that can tell apart are drawn in groups, in each of which they look alike: a setting,
    else a cell, else all.

    Args:
      cells, settings: of each run, in the order of the page.
    """
    levels: list[tuple[str, Sequence[Hashable]]]
    levels = [("run", range(len(cells))), ("setting", settings), ("cell", cells)]
    several = [place for place, (_, of) in enumerate(levels) if len(set(of)) > 1]
    for place, (unit, members) in enumerate(levels):
        colour, owners = levels[max(place, *several[-1:], 0)]
        if (looks := _looks_of(members, owners, kinds)) is not None:
            return Looks(looks, colour, len(set(owners)), unit, len(set(members)))
    return Looks([Look(0, 0, 0) for _ in cells], "page", 1, "page", 1)


def _looks_of(
    units: Sequence[Hashable], owners: Sequence[Hashable], kinds: Kinds
) -> list[Look] | None:
    """A look for each unit, in the colour of its owner; None if there are too few."""
    colours: dict[Hashable, int] = {}
    turns = Counter[int]()
    found: dict[Hashable, Look] = {}
    for unit, owner in zip(units, owners, strict=True):
        colour = colours.setdefault(owner, len(colours)) % kinds.colours
        if unit not in found:
            found[unit] = _variant(colour, turns[colour], kinds)
            turns[colour] += 1
    enough = all(number <= kinds.dashes * kinds.markers for number in turns.values())
    return [found[unit] for unit in units] if enough else None


def _variant(colour: int, number: int, kinds: Kinds) -> Look:
    """The look of the n-th thing of a colour; neighbours, and colours, differ in markers too."""
    turn, dash = divmod(number, kinds.dashes)
    return Look(colour, dash, (colour + turn + dash) % kinds.markers)


def words(looks: Looks, kinds: Kinds = PAGE) -> str:
    """What colours, dashes and markers say, for a reader of the page."""
    if looks.unit == "page":
        return "More runs than colours, dashes and markers can tell apart: all are drawn alike."
    tell = f"One colour a {looks.colour}."
    if looks.owners > kinds.colours:
        tell = f"One colour a {looks.colour}, the {kinds.colours} colours repeated."
    if looks.unit == "run":
        return f"{tell} Dash and marker tell apart what shares a colour: no two runs look alike."
    return (
        f"{tell} {len(looks.looks)} runs are more than dashes and markers can tell apart, so those "
        f"of a {looks.unit} are drawn alike: {looks.units} groups. Point at a curve for its run."
    )
