"""The nodes of a graph network: the table, the data and the picture of `rnnexp inspect --nodes`.

In the picture propagation steps run to the right and the distance from the answer downwards; beside
it stands the Dirichlet energy.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from rnnexp.report.figures import MISSING, log_if_positive, new_figure, save, usable, verbatim
from rnnexp.report.memory_slots import draw_slots, slots_data
from rnnexp.report.paper_style import DPI, STYLE

if TYPE_CHECKING:
    import xarray

MOST_COLUMNS = 8
SIZE_IN = (6.4, 2.6)


def node_rows(data: "xarray.Dataset", most: int = MOST_COLUMNS) -> list[dict[str, Any]]:
    """A row a propagation step: the mean ||dL/dh_v|| of the nodes at each distance, of so many
    distances, and the Dirichlet energy."""
    rows = []
    for step, norms in enumerate(data["by_distance"].values):
        row: dict[str, Any] = {"propagation step": step}
        row |= {_away(n): float(norm) for n, norm in enumerate(norms[:most])}
        rows.append(row | {"Dirichlet energy": float(data["energy"][step])})
    return rows


def _away(distance: int) -> str:
    return f"{distance} edge{'' if distance == 1 else 's'} away"


def nodes_title(data: "xarray.Dataset", step: int, examples: int) -> str:
    """The title of the table."""
    far = data.sizes["edges_away"]
    shown = f"; the first {MOST_COLUMNS} of {far} distances" if far > MOST_COLUMNS else ""
    return (
        f"mean ||dL/dh|| of a node by its distance from the answer, after {step} updates, "
        f"{examples} validation examples{shown}"
    )


def nodes_data(data: "xarray.Dataset") -> dict[str, Any]:
    """By variable its dimensions and all values; not finite ones are None."""
    found: dict[str, Any] = slots_data({"": data})[""]
    return found


def draw_nodes(data: "xarray.Dataset", file: Path, title: str) -> None:
    """Draw adjoints over propagation steps and distances, and the energy over the steps.

    Raises `UsageError` for a format that matplotlib does not know.
    """
    by_distance, energy = data["by_distance"].values, data["energy"].values
    with mpl.rc_context(STYLE):
        figure = new_figure(SIZE_IN)
        figure.suptitle(verbatim(title), fontsize=9)
        left, right = figure.subplots(1, 2)
        draw_slots(figure, left, by_distance, "log")
        hatched = not usable(by_distance).all()
        left.set_title("mean ||dL/dh|| of a node" + (f"\n{MISSING}" if hatched else ""))
        left.set(xlabel="propagation step", ylabel="edges away from the answer")
        right.plot(np.arange(len(energy)), energy, marker="o", markersize=3)
        right.set(xlabel="propagation step", title="Dirichlet energy")
        log_if_positive(right)
        save(figure, file, DPI)
