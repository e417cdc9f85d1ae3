"""A memory by slot over time: the table, the data and the picture of `rnnexp inspect --memory`.

In the picture time runs to the right and slots downwards, as in Graves, Wayne & Danihelka 2014,
"Neural Turing machines": where each head writes and reads, and beside it ||dL/dM_t[i]||. A cell
whose memory has no heads (a stack) shows the mean of each slot's numbers in their place. Slots at
the end that have neither weights nor adjoints are left out.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnexp.report.figures import (
    COLOUR_MAP,
    MISSING,
    colour_scale,
    new_figure,
    save,
    usable,
    verbatim,
)
from rnnexp.report.paper_style import DPI, STYLE
from rnnexp.report.table import sparkline

if TYPE_CHECKING:
    import xarray

MOST_ROWS = 12
DECADES = 8.0
"""Of the colours of adjoints: far smaller ones are as good as zero."""
WEIGHT_MAP = "Greys"
"""From white, no weight, to black, all of it."""
PANEL_IN = (2.6, 2.2)
COLUMNS = 3
FAINT = 1e-3
"""A weight below it does not count as one, in the choice of the slots that are drawn."""


def heads(data: "xarray.Dataset") -> list[str]:
    """The variables with a head's weights, as the cell names them."""
    return [str(name) for name in data.data_vars if f"{name}_head" in data[name].dims]


def slot_rows(data: "xarray.Dataset", most: int = MOST_ROWS) -> list[dict[str, Any]]:
    """The slots that heads use most, by the sum of all their weights over time; by slot number.

    Of a memory without heads the slots of the largest adjoints. Columns: of each kind of heads,
    the summed weights and the step of the largest; ||M_t[i]|| at the last step; the largest
    ||dL/dM_t[i]|| and its step; all of them as bars, on one scale.
    """
    adjoint, content = data["adjoint_norm"].values, data["content_norm"].values
    used = sum(np.nansum(data[name].values, axis=(0, 1)) for name in heads(data))
    order = np.argsort(-(used if heads(data) else np.nanmax(adjoint, axis=0)), kind="stable")
    picked = sorted(order[:most])
    shown = adjoint[:, picked]
    logs = np.log(shown[usable(shown)])
    low, high = (float(logs.min()), float(logs.max())) if len(logs) else (0.0, 0.0)
    last = int(np.flatnonzero(~np.isnan(content[:, 0]))[-1])
    rows = []
    for slot in picked:
        row: dict[str, Any] = {"slot": int(slot)}
        for name in heads(data):
            weights = data[name].values[:, :, slot].sum(axis=1)
            row[name] = float(np.nansum(weights))
            row[f"most at t ({name})"] = int(np.nanargmax(weights))
        row["||M||, last t"] = float(content[last, slot])
        row["max ||dL/dM||"] = float(np.nanmax(adjoint[:, slot]))
        row["at t"] = int(np.nanargmax(adjoint[:, slot]))
        row[f"||dL/dM||, t = 0 ... {len(adjoint) - 1}"] = sparkline(adjoint[:, slot], low, high)
        rows.append(row)
    return rows


def slots_title(unit: str, data: "xarray.Dataset", step: int) -> str:
    """The title of a unit's table."""
    count, shown = data.sizes["slot"], min(data.sizes["slot"], MOST_ROWS)
    which = f"the {shown} most used of {count} slots" if shown < count else f"all {count} slots"
    return f"memory of {unit} after {step} updates, one validation example: {which}"


def slots_data(units: Mapping[str, "xarray.Dataset"]) -> dict[str, Any]:
    """By unit and variable its dimensions and all values; not finite ones are None."""
    return {
        unit: {
            str(name): {"dimensions": list(map(str, array.dims)), "values": _finite(array.values)}
            for name, array in data.data_vars.items()
        }
        for unit, data in units.items()
    }


def _finite(values: np.ndarray) -> Any:
    """Nested lists of numbers, with None for what JSON has no number for."""
    if values.ndim:
        return [_finite(part) for part in values]
    return float(values) if math.isfinite(values) else None


def draw_memory(units: Mapping[str, "xarray.Dataset"], file: Path, title: str) -> None:
    """Draw every unit's memory in rows of its own, all panels over the same time and slots.

    Raises `UsageError` for a format that matplotlib does not know.
    """
    panels = {unit: _panels(data) for unit, data in units.items()}
    columns = min(COLUMNS, max(map(len, panels.values())))
    starts = np.cumsum([0, *(-(-len(of) // columns) for of in panels.values())])
    with mpl.rc_context(STYLE):
        width, height = PANEL_IN
        figure = new_figure((width * columns + 0.4, height * starts[-1] + 0.4))
        figure.suptitle(verbatim(title), fontsize=9)
        for first_row, (unit, of_unit) in zip(starts, panels.items(), strict=False):
            named = f", {unit}" if len(panels) > 1 else ""
            shown = _shown_slots(units[unit])
            for number, (name, values_TxN, scale) in enumerate(of_unit):
                place = int(first_row) * columns + number + 1
                axes = figure.add_subplot(int(starts[-1]), columns, place)
                draw_slots(figure, axes, values_TxN[:, :shown], scale)
                hatched = scale == "log" and not usable(values_TxN[:, :shown]).all()
                axes.set_title(verbatim(name + named) + (f"\n{MISSING}" if hatched else ""))
                axes.set(xlabel="time step t", ylabel="" if number % columns else "slot i")
        save(figure, file, DPI)


def _shown_slots(data: "xarray.Dataset") -> int:
    """How many slots, from the first, it takes to show all that have an adjoint or a weight."""
    touched_N: np.ndarray = np.any(usable(data["adjoint_norm"].values), axis=0)
    for name in heads(data):
        touched_N = touched_N | (np.nan_to_num(data[name].values) > FAINT).any(axis=(0, 1))
    return int(np.flatnonzero(touched_N)[-1]) + 1 if touched_N.any() else len(touched_N)


def _panels(data: "xarray.Dataset") -> list[tuple[str, np.ndarray, str]]:
    """Titles, values (time, slot) and scales of a unit's panels."""
    panels = []
    for name in sorted(heads(data), key=lambda name: "write" not in name):
        weights = data[name].values
        for head in range(weights.shape[1]):
            number = f" of head {head}" if weights.shape[1] > 1 else ""
            panels.append((f"{name}{number}", weights[:, head], "weight"))
    if not panels:
        panels = [("mean of M_t[i]", data["content_mean"].values, "linear")]
    return [*panels, ("||dL/dM_t[i]||", data["adjoint_norm"].values, "log")]


def draw_slots(figure: Figure, axes: Axes, values_TxN: np.ndarray, scale: str) -> None:
    """Values over time (to the right) and slots (downwards), with a colour bar.

    Args:
      scale: weight: grey from 0 to 1. linear: colours over all values. log: colours over
        `DECADES` at most; what is zero or not finite is hatched.
    """
    steps, slots = values_TxN.shape
    edges = np.arange(steps + 1) - 0.5, np.arange(slots + 1) - 0.5
    axes.set(xlim=(edges[0][0], edges[0][-1]), ylim=(edges[1][-1], edges[1][0]))
    shown = np.ma.masked_invalid(values_TxN.T)
    colours: dict[str, Any] = {"cmap": COLOUR_MAP}
    if scale == "weight":
        colours = {"vmin": 0.0, "vmax": 1.0, "cmap": WEIGHT_MAP}
    if scale == "log":
        axes.patch.set(facecolor="white", edgecolor="0.6", hatch="////", linewidth=0)
        norm = colour_scale([values_TxN], DECADES)
        if norm is None:
            return
        colours["norm"] = norm
        shown = np.ma.masked_where(~usable(values_TxN.T), values_TxN.T)
    mesh = axes.pcolormesh(*edges, shown, rasterized=True, **colours)
    figure.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
