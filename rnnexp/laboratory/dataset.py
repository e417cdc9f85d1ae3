"""The laboratory's figures as one Dataset with labelled dimensions and units.

A gate, matrix, exponent or step that a unit does not have is NaN. A quantity that no unit has is
left out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.laboratory.measure import LagFigures, ModelFigures, UnitFigures, Wanted
from rnnexp.laboratory.recurrent_matrices import spectral_norm, spectral_radius
from rnnexp.laboratory.settings import Fitted

if TYPE_CHECKING:
    import xarray


def cell_dataset(figures: UnitFigures, fitted: Fitted) -> "xarray.Dataset":
    """The figures of one cell, on the host, as a Dataset without the dimension `unit`."""
    variables, coordinates = _unit_variables([figures], [fitted])
    del coordinates["unit"]
    return labelled({k: (dims[1:], v[0]) for k, (dims, v) in variables.items()}, coordinates)


def model_dataset(
    figures: ModelFigures,
    wanted: Wanted,
    names: Sequence[str],
    step: int | None = None,
    settings: Mapping[str, float] | None = None,
) -> "xarray.Dataset":
    """The figures of a model, on the host, as a Dataset; `names` are its units'.

    With a training step, `step` is the first dimension of all variables; settings are in
    `measured_with`, by their names.
    """
    variables, coordinates = _unit_variables(figures.units, wanted.units)
    coordinates["unit"] = np.array(names)
    if figures.lags is not None:
        by_lag, bins = lag_variables(*figures.lags, wanted.lag_edges)
        variables, coordinates = variables | by_lag, coordinates | bins
    if figures.adjoints is not None:
        matrices = stacked([np.asarray(figures.adjoints[name]) for name in names])
        variables["adjoint_matrix"] = (("unit", "output_time", "time"), matrices)
        coordinates["output_time"] = np.arange(matrices.shape[1])
        coordinates["time"] = np.arange(max(len(coordinates.get("time", ())), matrices.shape[2]))
    variables = {
        name: (dims, padded(values, [len(coordinates[dim]) for dim in dims]))
        for name, (dims, values) in variables.items()
    }
    if settings is not None:
        coordinates["setting"] = np.array(list(settings))
        variables["measured_with"] = (("setting",), np.array(list(settings.values()), float))
    if step is not None:
        coordinates["step"] = np.array([step])
        variables = {k: (("step", *dims), v[None]) for k, (dims, v) in variables.items()}
    return labelled(variables, coordinates)


def _unit_variables(
    units: Sequence[UnitFigures], fits: Sequence[Fitted]
) -> tuple[Variables, dict[str, Any]]:
    """Variables of every unit, with a leading dimension `unit`, and their coordinates."""
    variables: Variables = {}
    coordinates: dict[str, Any] = {"unit": np.arange(len(units))}

    def add(name: str, dims: tuple[str, ...], pick: Callable[[UnitFigures], Any]) -> None:
        variables[name] = (("unit", *dims), stacked([np.asarray(pick(unit)) for unit in units]))

    _add_dynamics(add, units, fits, coordinates)
    matrices = _names(unit.matrices for unit in units)
    if matrices:
        coordinates["matrix"] = np.array(matrices)
        add("spectral_radius", ("matrix",), lambda u: _row(u.matrices, matrices, spectral_radius))
        add("spectral_norm", ("matrix",), lambda u: _row(u.matrices, matrices, _spectral_norm))
    gates = _names(unit.gates.mean for unit in units)
    if gates:
        coordinates["gate"] = np.array(gates)
        add("gate_low", ("gate", "time"), lambda u: _rows(u.gates.low, gates))
        add("gate_high", ("gate", "time"), lambda u: _rows(u.gates.high, gates))
    if any(unit.constant_T is not None for unit in units):
        nothing = np.full(0, np.nan, np.float32)
        add("time_constant", ("time",), lambda u: nothing if u.constant_T is None else u.constant_T)
    for name in ("gate_low", "time_constant"):
        if name in variables:
            coordinates["time"] = np.arange(variables[name][1].shape[-1])
    add("dead", (), lambda u: u.hidden.dead)
    add("saturated", (), lambda u: u.hidden.saturated)
    return variables, coordinates


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
    """A function that returns a field of a part of a unit's figures; NaN without the part."""

    def pick(unit: UnitFigures) -> Any:
        values = getattr(unit, part)
        return np.full(shape, np.nan, np.float32) if values is None else getattr(values, field)

    return pick


def _names(mappings: Any) -> list[str]:
    """The keys of all mappings, in order of first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _spectral_norm(matrix: Array) -> float:
    """The largest singular value, NaN if not finite; by NumPy, which needs no compilation."""
    values = np.asarray(matrix)
    return float(np.linalg.norm(values, 2)) if np.isfinite(values).all() else float("nan")


def _norms(unit: UnitFigures) -> dict[str, float]:
    return {name: spectral_norm(matrix) for name, matrix in unit.matrices.items()}


def _row(values: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """Numbers by name in the order of the names."""
    return np.array([float(values.get(name, np.nan)) for name in names])


def _rows(values: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """Vectors of equal length, in the order of the names."""
    length = max((len(value) for value in values.values()), default=0)
    nothing = np.full(length, np.nan)
    return np.stack([np.asarray(values.get(name, nothing)) for name in names])
