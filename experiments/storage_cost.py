"""What a flush of a run's stores costs and survives: our own appends beside the libraries'.

    python experiments/storage_cost.py

A flush adds rows to all variables of a Zarr store: to the gradients' store 10 rows of two
variables of 784 numbers, to the laboratory's 1 row of 20 small variables. Four ways, in turn:
`rnnexp.run.zarr_append`, Zarr's arrays with the gathered metadata written last, xarray's
`to_zarr(append_dim=...)`, and TensorStore with the gathered metadata written last by us (it
knows none). Then a child process is killed before each file operation of a flush (TensorStore's
operations are not Python's, and are not seen), and at moments spread evenly over a flush. A kill
is survived if the store opens with all rows of the flushes before and all or none of those of
the interrupted flush, and if the next flush leaves the store as if nothing had happened.

Expected: own appends take 1 ms for the gradients and 3 to 4 ms for the laboratory, TensorStore's
6 and 9 times as long, Zarr's 20 and 33 times, xarray's 24 and 41 times. Every kill is survived,
except by xarray's.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import xarray
import zarr

from rnnexp.run import zarr_append
from rnnexp.run.zarr_append import Data, Labelled

OPERATIONS = ("open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate")
NEVER = 1 << 30
PRELOADED = ["numpy", "tensorstore", "xarray", "zarr", "rnnexp.run.zarr_append"]


def rows(store: str, flush: int) -> Data:
    """What a flush adds, numbers that tell the rows apart; the labels too."""
    steps = np.arange(10 * flush, 10 * flush + 10) if store == "gradients" else np.array([flush])
    sizes = {f"v{n}": (2, 1 + 10 * (n % 4)) for n in range(20)}
    if store == "gradients":
        sizes = {"dL_dh": (1, 784), "dL_dc": (1, 784)}
    data = {"step": Labelled(["step"], steps)}
    for n, (name, size) in enumerate(sizes.items()):
        values = np.multiply.outer(steps + 1.0, np.arange(np.prod(size)) + n).astype(np.float32)
        dims = ["step", "unit", f"of_{size[1]}"]
        data[name] = Labelled(dims, values.reshape(-1, *size), {"long_name": name})
    return data


def by_zarr(path: Path, data: Data) -> None:
    """Each array longer and written, then the gathered metadata."""
    group = zarr.open_group(path, mode="r+", use_consolidated=True)
    for name, (_, values, _) in data.items():
        array: Any = group[name]
        first = array.shape[0]
        array.resize((first + len(values), *array.shape[1:]))
        array[first:] = values
    zarr.consolidate_metadata(path)


def by_xarray(path: Path, data: Data) -> None:
    """What xarray offers."""
    variables = {name: (of.dims, of.values) for name, of in data.items()}
    xarray.Dataset(variables).to_zarr(path, append_dim="step", consolidated=True)


def by_tensorstore(path: Path, data: Data) -> None:
    """All arrays at once: longer, then written; then the gathered metadata."""
    root = json.loads((path / "zarr.json").read_bytes())
    shapes = {name: of["shape"] for name, of in root["consolidated_metadata"]["metadata"].items()}
    first, count = shapes["step"][0], len(data["step"].values)
    context = tensorstore.Context({"file_io_sync": False})  # nor do the others wait for the disk
    specs = [
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}}
        for name in data
    ]
    opened = [tensorstore.open(spec, open=True, context=context) for spec in specs]
    arrays = [array.result() for array in opened]
    longer = [a.resize(exclusive_max=[first + count, *a.shape[1:]]) for a in arrays]
    arrays = [array.result() for array in longer]
    written = [a[first:].write(data[name].values) for a, name in zip(arrays, data, strict=True)]
    for done in written:
        done.result()
    for name in data:
        shapes[name][0] = first + count
    part = path / ".zarr.json.part"
    part.write_text(json.dumps(root))
    part.rename(path / "zarr.json")


WAYS: dict[str, Callable[[Path, Data], None]] = {
    "own": zarr_append.append,
    "TensorStore": by_tensorstore,
    "Zarr": by_zarr,
    "xarray": by_xarray,
}


def doomed(way: str, store: str, path: Path, operation: int, seconds: float) -> None:
    """Two flushes; the second ends before its n-th file operation, or after some seconds."""
    warnings.simplefilter("ignore")
    WAYS[way](path, rows(store, 1))
    counter = itertools.count(1)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in OPERATIONS and str(path) in str(arguments[0]) and next(counter) == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    signal.setitimer(signal.ITIMER_REAL, seconds)  # whose signal ends a process
    WAYS[way](path, rows(store, 2))
    signal.setitimer(signal.ITIMER_REAL, 0)


def holds(path: Path, store: str, flushes: int) -> bool:
    """Whether a store holds just the rows of the first flushes."""
    parts = [rows(store, flush) for flush in range(flushes)]
    loaded = zarr_append.load(path)
    return set(map(str, loaded.variables)) == set(parts[0]) and all(
        np.array_equal(loaded[name].values, np.concatenate([part[name].values for part in parts]))
        for name in parts[0]
    )


def survives(way: str, store: str, operation: int, seconds: float) -> bool | None:
    """Whether a store survives a kill in its third flush; None if that came too late."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.zarr"
        zarr_append.create(path, rows(store, 0))
        child = multiprocessing.get_context("forkserver").Process(
            target=doomed, args=(way, store, path, operation, seconds)
        )
        child.start()
        child.join()
        if child.exitcode not in (-signal.SIGKILL, -signal.SIGALRM):
            return None
        try:
            whole = holds(path, store, 3)
            if not whole and not holds(path, store, 2):
                return False
            WAYS[way](path, rows(store, 3 if whole else 2))
            return holds(path, store, 4 if whole else 3)
        except Exception:  # of any library, as the store may be damaged in any way
            return False
        finally:
            child.close()


def milliseconds(store: str, rounds: int) -> dict[str, float]:
    """The median time of a flush, the ways in turn."""
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            zarr_append.create(Path(folder) / way, rows(store, 0))
        took: dict[str, list[float]] = {way: [] for way in WAYS}
        for flush in range(1, rounds + 2):
            data = rows(store, flush)
            for way, append in WAYS.items():
                began = time.perf_counter()
                append(Path(folder) / way, data)
                took[way].append((time.perf_counter() - began) * 1e3)
        if not all(holds(Path(folder) / way, store, rounds + 2) for way in WAYS):
            raise SystemExit("the ways do not write the same rows")
    return {way: statistics.median(times[1:]) for way, times in took.items()}


def score(results: Iterable[bool | None]) -> str:
    """How many kills were survived, until one came too late: `31 of 31`."""
    kills = list(itertools.takewhile(lambda survived: survived is not None, results))
    return f"{sum(map(bool, kills))} of {len(kills)}" if kills else "-"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="flushes to measure")
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th operation")
    parser.add_argument("--moments", type=int, default=50, help="moments to kill at")
    known = parser.parse_args()
    warnings.simplefilter("ignore")  # Zarr's, of gathered metadata
    multiprocessing.set_forkserver_preload(PRELOADED)
    print(f"{'':24}{'ms a flush':>12}{'over own':>10}{'at operations':>18}{'at moments':>14}")
    for store in ("gradients", "laboratory"):
        took = milliseconds(store, known.rounds)
        for way, ms in took.items():
            at_operations = score(
                survives(way, store, number, NEVER) for number in itertools.count(1, known.every)
            )
            delays = np.linspace(0, 1.2 * ms / 1e3, known.moments + 1)[1:]
            at_moments = score(
                survived
                for delay in delays
                if (survived := survives(way, store, NEVER, delay)) is not None
            )
            print(
                f"{store + ', ' + way:24}{ms:12.1f}{ms / took['own']:10.1f}"
                f"{at_operations:>18}{at_moments:>14}",
                flush=True,
            )


if __name__ == "__main__":
    main()
