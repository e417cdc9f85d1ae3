"""Zarr stores of runs: reading any, and appending to those that grow along `step`.

A store that grows is in format 3 of Zarr. Every variable is in uncompressed chunks of whole
rows, and the metadata of all variables is gathered in the store's own `zarr.json`. Rows are
appended with plain file operations. That file is replaced last, by rename, so all variables
get their new rows at once. After a kill, `cut` makes the arrays' own metadata agree with it.

The libraries' own appends take 6 to 40 times as long (`experiments/storage_cost.py`).
"""

import json
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError, first_line
from rnnexp.core.files import replace_bytes

if TYPE_CHECKING:
    import xarray

CHUNK_ROWS = 64
CHUNK_BYTES = 1 << 18  # a longer row has a chunk of its own
PIECE = 512
"""The arrays' metadata files are padded to a multiple of this many bytes."""


CODECS = {"bytes", "zstd", "gzip", "blosc", "crc32c", "transpose", "vlen-utf8", "sharding_indexed"}
TYPES = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64", "complex64", "complex128", "string", "fixed_length_utf32",
}  # fmt: skip
TRIES, TRIES_S = 5, 0.5
"""How often, and within how many seconds, a store that is being replaced is read again."""


class Labelled(NamedTuple):
    """One variable: the names of its dimensions, its values and its attributes."""

    dims: Sequence[str]
    values: np.ndarray
    attrs: Mapping[str, Any] = {}


Data = Mapping[str, Labelled]
"""Variables by name, `step` among them; those that grow have the dimension `step`."""


def exists(path: Path) -> bool:
    """Whether there is a complete store."""
    return (path / "zarr.json").exists()


def stamp(path: Path) -> bytes:
    """Bytes that change whenever the store does."""
    return (path / "zarr.json").read_bytes()


def steps(path: Path) -> np.ndarray:
    """The training steps of all rows."""
    meta = _arrays(path)["step"]
    size, chunk = meta["shape"][0], meta["chunk_grid"]["configuration"]["chunk_shape"][0]
    blocks = [_block(path / "step", meta, number) for number in range(-(-size // chunk))]
    return np.concatenate([np.zeros(0, np.int64), *blocks])[:size]


def variables(path: Path) -> set[str]:
    """The names of the variables that have rows, `step` among them."""
    return {name for name, meta in _arrays(path).items() if "step" in meta["dimension_names"]}


def dimensions(path: Path) -> set[str]:
    """The names of all dimensions."""
    return {str(dim) for meta in _arrays(path).values() for dim in meta["dimension_names"]}


@contextmanager
def opened(path: Path) -> "Iterator[xarray.Dataset]":
    """Any run's store as a Dataset whose arrays are read when they are asked for.

    Raises `UsageError` if it cannot be read, or is of a kind that no run writes; see
    `require_plain`.
    """
    import xarray

    gathered = require_plain(path)
    try:
        with xarray.open_zarr(path, consolidated=gathered) as data:
            yield data
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:  # so codecs fail
        raise UsageError(f"cannot read {path}: {first_line(error)}") from error


def require_plain(path: Path) -> bool:
    """Raise `UsageError` unless a store has format 3 of Zarr, plain numbers or texts, and codecs
    that compute nothing but bytes.

    A store may come from a stranger, and codecs of other kinds, such as pickles in format 2, run
    code when they are read.

    Returns:
      Whether the metadata of all variables is gathered. Only stores of other programs lack that.
      In a store that a run is appending to, the arrays' own may be of another moment.
    """
    try:
        if not exists(path) and any((path / name).exists() for name in (".zgroup", ".zmetadata")):
            raise UsageError(f"{path} is not in format 3 of Zarr: no run writes such a store")
        root = json.loads(stamp(path))
        if gathered := root.get("consolidated_metadata"):
            metas = [root, *gathered["metadata"].values()]
        else:
            metas = [json.loads(file.read_bytes()) for file in sorted(path.rglob("zarr.json"))]
        formats = {meta["zarr_format"] for meta in metas}
        arrays = [meta for meta in metas if meta["node_type"] == "array"]
        codecs = {name for meta in arrays for name in _codec_names(meta["codecs"])}
        kinds = [meta["data_type"] for meta in arrays]
        types = {str(kind["name"] if isinstance(kind, dict) else kind) for kind in kinds}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"cannot read {path}: its metadata is damaged ({error!r})") from error
    if formats != {3}:
        raise UsageError(f"{path} is not in format 3 of Zarr: no run writes such a store")
    for what, found, known in (("codec", codecs, CODECS), ("type", types, TYPES)):
        if strange := sorted(found - known):
            raise UsageError(f"{path} has the {what} {strange[0]!r}, which no run writes: not read")
    return bool(gathered)


def _codec_names(codecs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for codec in codecs:
        yield str(codec["name"])
        inner = codec.get("configuration", {})
        yield from _codec_names([*inner.get("codecs", ()), *inner.get("index_codecs", ())])


def load(path: Path) -> "xarray.Dataset":
    """A whole store in memory, names as fixed-length strings; `UsageError` as of `opened`.

    If the store is replaced while it is read, it is read again.
    """
    for _ in range(TRIES):
        before = _stamp_if_any(path)
        try:
            return _load(path)
        except UsageError:
            if before is not None and _stamp_if_any(path) == before:
                raise
        time.sleep(TRIES_S / TRIES)
    return _load(path)


def _stamp_if_any(path: Path) -> bytes | None:
    try:
        return stamp(path)
    except OSError:
        return None


def _load(path: Path) -> "xarray.Dataset":
    with opened(path) as data:
        texts = {
            name: np.array(label.values.tolist())
            for name, label in data.coords.items()
            if label.dtype.kind in "TO"
        }
        loaded: xarray.Dataset = data.load().assign_coords(texts)
        return loaded


def create(path: Path, data: Data) -> None:
    """Make a store of variables; what was there is removed."""
    import zarr  # slow to import, and a run logs its first steps without it

    shutil.rmtree(path, ignore_errors=True)
    group = zarr.create_group(path)
    for name, (dims, values, attrs) in data.items():
        if "step" not in dims:
            texts = values.dtype.kind in "UTO"
            array = group.create_array(
                name, shape=values.shape, dtype=str if texts else values.dtype,
                dimension_names=list(dims), attributes=dict(attrs),
            )  # fmt: skip
            array[...] = values.astype(object) if texts else values
            continue
        order = ["step", *(dim for dim in dims if dim != "step")]
        shape = (0, *(values.shape[list(dims).index(dim)] for dim in order[1:]))
        dtype = np.dtype(np.int64) if name == "step" else values.dtype
        row = int(np.prod(shape[1:], dtype=int)) * dtype.itemsize
        rows = max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(1, row)))
        group.create_array(
            name, shape=shape, chunks=(rows, *shape[1:]), dtype=dtype, compressors=None,
            fill_value=-1 if dtype.kind == "i" else np.nan, attributes=dict(attrs),
            dimension_names=order,
        )  # fmt: skip
    with warnings.catch_warnings():
        # Zarr points out that version 3 of the format does not specify it yet.
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
        zarr.consolidate_metadata(path)
    append(path, data)


def append(path: Path, data: Data) -> None:
    """Append rows. Variables that `data` lacks get NaN.

    Raises `UsageError` for a store that `create` has not made.
    """
    arrays = _arrays(path)
    first, count = arrays["step"]["shape"][0], len(data["step"].values)
    for name, meta in arrays.items():
        if "step" not in meta["dimension_names"]:
            continue
        if [codec["name"] for codec in meta["codecs"]] != ["bytes"]:
            raise UsageError(f"{path / name} is compressed: another program, or version, wrote it")
        if name in data:
            dims = list(data[name].dims)
            values = data[name].values.transpose([dims.index(d) for d in meta["dimension_names"]])
        else:
            values = np.full((count, *meta["shape"][1:]), np.nan)
        _put(path / name, meta, first, values)
    _resize(path, first + count)


def cut(path: Path, rows: int) -> None:
    """Keep the first rows, of all variables alike."""
    _resize(path, rows)


def _arrays(path: Path) -> dict[str, Any]:
    """The gathered metadata of all arrays."""
    try:
        found: dict[str, Any] = json.loads(stamp(path))["consolidated_metadata"]["metadata"]
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"{path} is damaged ({error}); remove it, and `rnnexp analyze RUN` measures the "
            "checkpoints that there are"
        ) from error
    return found


def _resize(path: Path, rows: int) -> None:
    """Set the number of rows of all variables."""
    root = json.loads(stamp(path))
    for name, meta in root["consolidated_metadata"]["metadata"].items():
        if "step" in meta["dimension_names"]:
            meta["shape"][0] = rows
            _overwrite(path / name / "zarr.json", json.dumps(meta).encode())
    replace_bytes(path / "zarr.json", json.dumps(root).encode())


def _dtype(meta: dict[str, Any]) -> Any:
    return np.dtype(meta["data_type"]).newbyteorder("<")


def _chunk(folder: Path, meta: dict[str, Any], number: int) -> Path:
    return folder.joinpath("c", str(number), *["0"] * (len(meta["shape"]) - 1))


def _block(folder: Path, meta: dict[str, Any], number: int) -> np.ndarray:
    """A copy of the rows of a chunk; fill values if there is no such file."""
    shape = meta["chunk_grid"]["configuration"]["chunk_shape"]
    file = _chunk(folder, meta, number)
    if file.exists():
        return np.frombuffer(file.read_bytes(), _dtype(meta)).reshape(shape).copy()
    return np.full(shape, -1 if _dtype(meta).kind == "i" else np.nan, _dtype(meta))


def _put(folder: Path, meta: dict[str, Any], first: int, values: np.ndarray) -> None:
    """Write rows from `first` on into their chunks, before the metadata counts them."""
    size = meta["chunk_grid"]["configuration"]["chunk_shape"][0]
    values = np.ascontiguousarray(values, _dtype(meta))
    for number in range(first // size, -(-(first + len(values)) // size)):
        begin, end = max(first, number * size), min(first + len(values), (number + 1) * size)
        file, rows = _chunk(folder, meta, number), values[begin - first : end - first]
        if begin == number * size:
            file.parent.mkdir(parents=True, exist_ok=True)
            empty = _block(folder / "nowhere", meta, number)
            empty[: len(rows)] = rows
            replace_bytes(file, empty.tobytes())
            continue
        with file.open("r+b") as stream:
            stream.seek((begin - number * size) * rows[0].nbytes)
            stream.write(rows.tobytes())


def _overwrite(file: Path, content: bytes) -> None:
    """Write a small file in place, with one call; it is padded with spaces to keep its size."""
    padded = content.ljust(-(-len(content) // PIECE) * PIECE)
    if file.stat().st_size != len(padded):
        replace_bytes(file, padded)
        return
    with file.open("r+b", buffering=0) as stream:
        stream.write(padded)
