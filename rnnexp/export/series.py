"""The scalars, histograms and pictures of a run, in the form that every exporter writes."""

import io
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rnnexp.core.axis import laboratory_axis
from rnnexp.results.load import Run
from rnnexp.run import zarr_append
from rnnexp.run.files import CLOSED_FORMS, Scalar, scalars_of

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("rnnexp")
HISTOGRAMS = 200  # the most recorded steps with histograms
BINS = 30
STORE = "laboratory.zarr"
SETTINGS = "measured_with"
"""The variable of that store that holds settings and no figures."""
MATRICES = ("adjoint_matrix", "each_lag_norm")
"""Its variables that are no scalars, even when averaged over the sequence: steps by steps, and a
parameter by every lag."""
PICTURE_IN = (7.0, 4.5)
DPI = 130


class Histogram(NamedTuple):
    """The distribution of log10 of a profile's norms over the time steps of the sequence.

    Attributes:
      name: `log10_dL_dh/layer_0` and so on.
      step: the training step of the profile.
      edges: of the bins, (bins + 1,).
      counts: of the time steps in each bin, (bins,).
    """

    name: str
    step: int
    edges: np.ndarray
    counts: np.ndarray


class Picture(NamedTuple):
    """The content of a PNG file, its name (`dL_dh/layer_0` and so on), and its size in pixels."""

    name: str
    png: bytes
    width: int
    height: int


def scalars(run: Run) -> list[Scalar]:
    """Every figure of `metrics.jsonl` and of the laboratory by step, named KIND/NAME.

    Tests at other lengths (kind `length`) have the length in place of the step.
    Closed forms (kinds `baseline` and `reference`) are repeated at the last step, so that they
    are drawn as lines.
    """
    rows = run.metrics
    last = max((row["step"] for row in rows), default=0)
    result = []
    for row in rows:
        result += scalars_of(row)
        if row["kind"] in CLOSED_FORMS and row["step"] != last:
            result += scalars_of(row, last)
    return sorted([*result, *laboratory_scalars(run)], key=lambda scalar: scalar.step)


def laboratory_scalars(run: Run) -> list[Scalar]:
    """Every figure of a run's `laboratory.zarr`: none without one.

    Names have the variable, then the place along each of its dimensions, as in
    `laboratory/lyapunov/layer_0/exponent_0`. What was measured at every step of the sequence is
    averaged over them. Figures that were not measured are left out; a matrix is, and is logged.
    """
    if not (run.path / STORE).exists():
        return []
    data = zarr_append.load(run.path / STORE)
    axis, found = laboratory_axis([*map(str, data.dims)]), list[Scalar]()
    times = {step: _time(run, step) for step in data["step"].values.tolist()}
    for name in map(str, data.data_vars):
        if name in MATRICES:
            log.info("%s is a matrix and is not exported; %s has it", name, run.path / STORE)
        elif name != SETTINGS:
            values = data[name].mean(axis) if axis in data[name].dims else data[name]
            dims = [str(dim) for dim in values.dims if dim != "step"]
            found += _along(name, values.transpose("step", *dims), times)
    return found


def _along(name: str, values: "xarray.DataArray", times: Mapping[int, float]) -> Iterator[Scalar]:
    """The finite values of a variable whose first dimension is the training step.

    `times` says when each of these steps was reached.
    """
    labels = {dim: values[dim].values for dim in map(str, values.dims)}
    for place in zip(*np.nonzero(np.isfinite(values.values)), strict=True):
        parts = [
            str(labels[dim][n]) if labels[dim].dtype.kind in "UOT" else f"{dim}_{labels[dim][n]}"
            for dim, n in zip([*labels][1:], place[1:], strict=True)
        ]
        step = int(labels["step"][place[0]])
        full = "/".join(["laboratory", name, *parts])
        yield Scalar(full, step, float(values.values[place]), times[step])


def _time(run: Run, step: int) -> float:
    """When a run had made `step` updates: the time of the last line before, or of the first."""
    times = [float(row["time"]) for row in run.metrics if row["step"] <= step]
    first = float(run.metrics[0]["time"]) if run.metrics else 0.0
    return max(times, default=first)


def histograms(run: Run) -> list[Histogram]:
    """Histograms for every unit and leaf, at `HISTOGRAMS` or fewer evenly spaced recorded steps.

    Norms that are zero or not finite have no logarithm and are left out (the scalar
    `train/zero_lags/...` counts the zeros). Omitted steps and norms are logged.
    """
    picked = np.linspace(0, len(run.steps) - 1, min(len(run.steps), HISTOGRAMS)).round()
    if len(picked) < len(run.steps):
        log.info(
            "histograms of %d of %d recorded steps, evenly chosen", len(picked), len(run.steps)
        )
    result, left_out = [], 0
    for leaf, norms_SxLxT in run.norms.items():
        for layer, unit in enumerate(run.units):
            for index in picked.astype(int):
                norms_T = norms_SxLxT[index, layer].astype(np.float64)
                usable_T = np.isfinite(norms_T) & (norms_T > 0)
                left_out += int(np.sum(~usable_T))
                if usable_T.any():
                    counts, edges = np.histogram(np.log10(norms_T[usable_T]), BINS)
                    name = f"log10_dL_d{leaf}/{unit}"
                    result.append(Histogram(name, int(run.steps[index]), edges, counts))
    if left_out:
        log.info("histograms leave out %d norms that are zero or not finite", left_out)
    return result


def pictures(run: Run) -> list[Picture]:
    """The heat map of every profile over training and time; units share a leaf's colour scale."""
    from rnnexp.report.figures import MISSING, colour_scale, draw_heat_map, new_figure, verbatim

    result = []
    for leaf, norms_SxLxT in run.norms.items():
        scale = colour_scale([norms_SxLxT])
        for layer, unit in enumerate(run.units):
            figure = new_figure(PICTURE_IN)
            axes = figure.add_subplot()
            mesh = draw_heat_map(axes, run.steps, norms_SxLxT[:, layer], scale, run.axis)
            if mesh is not None:
                figure.colorbar(mesh, ax=axes, label=f"||dL/d{leaf}_t||")
            axes.set_title(verbatim(f"{run.name}  {unit}  ({MISSING})"), fontsize=10)
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=DPI)
            width, height = (round(side * DPI) for side in PICTURE_IN)
            result.append(Picture(f"dL_d{leaf}/{unit}", stream.getvalue(), width, height))
    return result
