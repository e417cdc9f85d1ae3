"""Tables in binary files: NumPy's NPZ with named arrays, and Parquet."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UsageError, first_line
from rnnexp.data.table import Table


def read_npz(path: Path) -> Table:
    """The arrays of an NPZ file as columns.

    An array (time,) is the column of its name, and (time, columns) is NAME_1, NAME_2 and so on;
    the name alone then stands for all of them. If an array has three axes (series, time,
    columns), those with two are (series, time), and those with one (series,) have a value for
    the whole of each series.

    Raises `UsageError` for a file that cannot be read, or arrays that do not fit together.
    """
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise UsageError(f"{path} holds one array without a name; save it by numpy.savez")
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UsageError:
        raise
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UsageError(f"{path} is no NPZ file of plain arrays: {first_line(error)}") from error
    if not any(array.ndim for array in arrays.values()):
        raise UsageError(f"{path} holds no array with a time axis")
    return table_of_arrays(str(path), arrays)


def table_of_arrays(source: str, arrays: Mapping[str, np.ndarray]) -> Table:
    """The table of named arrays; see `read_npz`."""
    deep = [array for array in arrays.values() if array.ndim == 3]
    axes = deep[0].shape[:2] if deep else next(a.shape[:1] for a in arrays.values() if a.ndim)
    said = "(series, time)" if deep else "(time,)"
    columns, bundles = dict[str, np.ndarray](), dict[str, tuple[str, ...]]()
    for name, array in arrays.items():
        if deep and array.ndim == 1 and array.shape == axes[:1]:
            array = np.repeat(array[:, None], axes[1], 1)
        if array.ndim not in (len(axes), len(axes) + 1) or array.shape[: len(axes)] != axes:
            raise UsageError(
                f"{source}: {name!r} is an array of shape {array.shape}, expected {said} = {axes} "
                "as another has, with or without an axis of columns"
            )
        if array.ndim == len(axes):
            columns[name] = array.reshape(-1)
            continue
        flat = array.reshape(-1, array.shape[-1])
        bundles[name] = tuple(f"{name}_{number}" for number in range(1, flat.shape[1] + 1))
        columns |= dict(zip(bundles[name], flat.T, strict=True))
    if 0 in axes:
        raise UsageError(f"{source}: its arrays are empty, {said} = {axes}")
    lengths = (axes[1],) * axes[0] if deep else ()
    return Table(source, columns, bundles=bundles, lengths=lengths)


def read_parquet(path: Path) -> Table:
    """The columns of a Parquet file.

    Raises `UsageError` for a file that cannot be read, or without pyarrow.
    """
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow: pip install 'rnnexp[parquet]'") from error
    try:
        with path.open("rb") as stream:
            read = pyarrow.parquet.read_table(stream)
    except pyarrow.ArrowException as error:
        raise UsageError(f"{path} is no Parquet file: {first_line(error)}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or first_line(error)}") from error
    if read.num_rows == 0:
        raise UsageError(f"{path} has no row")
    columns = {name: read[name].to_numpy() for name in read.column_names}
    return Table(str(path), columns)
