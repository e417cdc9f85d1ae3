"""The laboratory's numbers with names: one Dataset, its dimensions labelled and in units.

What a unit does not have (a gate, a matrix, an exponent that its state has no room for, a
step after its end) is NaN. A quantity that no unit has is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.core.axis import TIME, step_of
from rnnexp.laboratory.measure import LagFigures, ModelFigures, UnitFigures, Wanted
from rnnexp.laboratory.recurrent_matrices import spectral_norm, spectral_radius
from rnnexp.laboratory.settings import Fitted
from rnnexp.laboratory.units import UNITS

if TYPE_CHECKING:
    import xarray

Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]
"""By name, dimensions and values."""


def cell_dataset(figures: UnitFigures, fitted: Fitted, axis: str = TIME) -> "xarray.Dataset":
    """The figures of one cell, on the host, as a Dataset without a dimension of units."""
    variables, coordinates = _unit_variables([figures], [fitted])
    del coordinates["unit"]
    without = {k: (dims[1:], v[0]) for k, (dims, v) in variables.items()}
    return _dataset(without, coordinates, axis)


def model_dataset(
    figures: ModelFigures,
    wanted: Wanted,
    names: Sequence[str],
    step: int | None = None,
    settings: Mapping[str, float] | None = None,
) -> "xarray.Dataset":
    """The figures of a model, on the host, as a Dataset; `names` of its units.

    With a training step all variables have it as their first dimension; with settings these
    are in `measured_with`, by their names.
    """
    variables, coordinates = _unit_variables(figures.units, wanted.units)
    coordinates["unit"] = np.array(names)
    if figures.lags is not None:
        found, bins = _lag_variables(figures.lags, wanted.lag_edges)
        variables, coordinates = variables | found, coordinates | bins
    if figures.adjoints is not None:
        matrices = [np.asarray(figures.adjoints[name]) for name in names]
        shape = (matrices[0].shape[0], max(matrix.shape[1] for matrix in matrices))
        stacked = np.stack([_padded(matrix, shape) for matrix in matrices])
        variables["adjoint_matrix"] = (("unit", "output_time", "time"), stacked)
        coordinates["output_time"] = np.arange(shape[0])
        coordinates["time"] = np.arange(max(len(coordinates.get("time", ())), shape[1]))
    variables = _to_shapes(variables, coordinates)
    if settings is not None:
        coordinates["setting"] = np.array(list(settings))
        variables["measured_with"] = (("setting",), np.array(list(settings.values()), float))
    if step is not None:
        coordinates["step"] = np.array([step])
        variables = {k: (("step", *dims), v[None]) for k, (dims, v) in variables.items()}
    return _dataset(variables, coordinates, wanted.axis)


def _unit_variables(
    units: Sequence[UnitFigures], fits: Sequence[Fitted]
) -> tuple[Variables, dict[str, Any]]:
    """What is known of every unit, all with a leading dimension `unit`."""
    found: Variables = {}
    coordinates: dict[str, Any] = {"unit": np.arange(len(units))}

    def add(name: str, dims: tuple[str, ...], pick: Callable[[UnitFigures], Any]) -> None:
        found[name] = (("unit", *dims), _stacked([np.asarray(pick(unit)) for unit in units]))

    _add_dynamics(add, units, fits, coordinates)
    matrices = _names(unit.matrices for unit in units)
    if matrices:
        coordinates["matrix"] = np.array(matrices)
        add("spectral_radius", ("matrix",), lambda u: _row(_radii(u), matrices))
        add("spectral_norm", ("matrix",), lambda u: _row(_norms(u), matrices))
    gates = _names(unit.gates.mean for unit in units)
    if gates:
        coordinates["gate"] = np.array(gates)
        add("gate_low", ("gate", "time"), lambda u: _rows(u.gates.low, gates))
        add("gate_high", ("gate", "time"), lambda u: _rows(u.gates.high, gates))
    if any(unit.constant_T is not None for unit in units):
        nothing = np.full(0, np.nan, np.float32)
        add("time_constant", ("time",), lambda u: nothing if u.constant_T is None else u.constant_T)
    for name in ("gate_low", "time_constant"):
        if name in found:
            coordinates["time"] = np.arange(found[name][1].shape[-1])
    add("dead", (), lambda u: u.hidden.dead)
    add("saturated", (), lambda u: u.hidden.saturated)
    return found, coordinates


def _add_dynamics(
    add: Callable[..., None],
    units: Sequence[UnitFigures],
    fits: Sequence[Fitted],
    coordinates: dict[str, Any],
) -> None:
    """Lyapunov spectra and singular values, of the units that have them."""
    if any(unit.spectrum is not None for unit in units):
        coordinates["exponent"] = np.arange(max(fit.exponents for fit in fits))
        fields = {"": "exponents_K", "_error": "error_K", "_drift": "drift_K", "_lost": "lost_K"}
        for ending, field in fields.items():
            add(f"lyapunov{ending}", ("exponent",), _of("spectrum", field, (0,)))
        add("kaplan_yorke", (), _of("spectrum", "kaplan_yorke", ()))
    if any(unit.products is not None for unit in units):
        coordinates["span"] = np.array(max((fit.spans for fit in fits), key=len))
        coordinates["rank"] = np.arange(max(fit.rank for fit in fits if fit.spans))
        add("singular", ("span", "rank"), _of("products", "singular", (0, 0)))
        add("singular_error", ("span", "rank"), _of("products", "error", (0, 0)))
        add("singular_smallest", ("span",), _of("products", "smallest", (0,)))
        add("condition", ("span",), _of("products", "condition", (0,)))


def _of(part: str, field: str, shape: tuple[int, ...]) -> Callable[[UnitFigures], Any]:
    """What picks a field of a part of a unit's figures; NaN of that shape without the part."""

    def pick(unit: UnitFigures) -> Any:
        values = getattr(unit, part)
        return np.full(shape, np.nan, np.float32) if values is None else getattr(values, field)

    return pick


def _lag_variables(lags: LagFigures, edges: Sequence[int]) -> tuple[Variables, dict[str, Any]]:
    parts = np.stack([np.asarray(part) for part in lags.parts.values()])
    totals = np.stack([np.asarray(lags.total[name]) for name in lags.parts])
    variables: Variables = {
        "lag_norm": (("parameter", "lag"), parts),
        "parameter_norm": (("parameter",), totals),
    }
    labels = {"parameter": np.array(list(lags.parts)), "lag": np.array(edges)}
    if lags.each is not None:
        each = np.stack([np.asarray(lags.each[name]) for name in lags.parts])
        variables["each_lag_norm"] = (("parameter", "each_lag"), each)
        labels["each_lag"] = np.arange(each.shape[1])
    return variables, labels


def _names(mappings: Any) -> list[str]:
    """The keys of all mappings, in the order in which they are met."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _radii(unit: UnitFigures) -> dict[str, float]:
    return {name: spectral_radius(matrix) for name, matrix in unit.matrices.items()}


def _norms(unit: UnitFigures) -> dict[str, float]:
    return {name: spectral_norm(matrix) for name, matrix in unit.matrices.items()}


def _row(values: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """Numbers by name in the order of the names."""
    return np.array([float(values.get(name, np.nan)) for name in names])


def _rows(values: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """Vectors by name, of like length, in the order of the names."""
    length = max((len(value) for value in values.values()), default=0)
    nothing = np.full(length, np.nan)
    return np.stack([np.asarray(values.get(name, nothing)) for name in names])


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of all units together, each filled up to the largest with NaN."""
    shape = tuple(max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True))
    return np.stack([_padded(array, shape) for array in arrays])


def _padded(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    room = [(0, wanted - size) for wanted, size in zip(shape, array.shape, strict=True)]
    return np.pad(array, room, constant_values=np.nan) if any(b for _, b in room) else array


def _to_shapes(variables: Variables, coordinates: Mapping[str, Any]) -> Variables:
    """The variables, filled up with NaN to the sizes of the coordinates."""
    return {
        name: (dims, _padded(values, tuple(len(coordinates[dim]) for dim in dims)))
        for name, (dims, values) in variables.items()
    }


def _dataset(variables: Variables, coordinates: Mapping[str, Any], axis: str) -> "xarray.Dataset":
    """A Dataset whose dimension of steps, and whose units, are named after the axis."""
    import xarray

    def unit(name: str) -> dict[str, str]:
        return {"units": UNITS[name].replace("step", step_of(axis))} if name in UNITS else {}

    data = xarray.Dataset(
        {name: (dims, values, unit(name)) for name, (dims, values) in variables.items()},
        {name: (name, values, unit(name)) for name, values in coordinates.items()},
    )
    return data.rename({TIME: axis}) if TIME in data.dims else data
