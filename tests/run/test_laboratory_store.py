"""The laboratory's store: rows in order, none twice, whole whenever it was interrupted."""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray

from rnnexp.core.errors import UsageError
from rnnexp.results.frames import load_laboratory
from rnnexp.run.laboratory_store import LaboratoryLog
from tests.helpers.killed_write import killed_at
from tests.helpers.laboratory_data import laboratory

DATA = laboratory(5, 6)
SMALL = xarray.Dataset(
    {"dead": (("step", "unit"), np.arange(10.0).reshape(5, 2))},
    {"step": np.arange(5), "unit": ["layer_0", "layer_1"]},
)


def rows(*steps: int) -> xarray.Dataset:
    """Rows of the example, at these steps."""
    return DATA.sel(step=list(steps))


def few(*steps: int) -> xarray.Dataset:
    """Rows of a data set with little to write."""
    return SMALL.sel(step=list(steps))


def written(path: Path, *parts: xarray.Dataset) -> LaboratoryLog:
    """A log with these rows on the disk, flushed one by one."""
    path.parent.mkdir(exist_ok=True)
    log = LaboratoryLog(path)
    for part in parts:
        log.append(part)
        log.flush()
    return log


def stored(path: Path) -> xarray.Dataset:
    """What a fresh reader finds."""
    data = LaboratoryLog(path).load()
    assert data is not None
    return data.drop_attrs()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "laboratory.zarr"


def test_rows_come_back_as_they_were(path: Path) -> None:
    log = written(path, rows(0), rows(100, 200))
    log.append(rows(300))
    log.append(rows(400))
    assert log.steps() == [0, 100, 200, 300, 400]
    assert stored(path).sizes["step"] == 3  # the others wait
    log.flush()
    xarray.testing.assert_identical(stored(path), DATA)
    with warnings.catch_warnings(), xarray.open_zarr(path) as opened:
        assert list(opened["unit"].values) == ["layer_0", "layer_1"]
        np.testing.assert_array_equal(opened["lyapunov"], DATA["lyapunov"])
    (path.parent / "status.json").write_text("{}")
    read = load_laboratory(path.parent)
    np.testing.assert_array_equal(read["lag_norm"], DATA["lag_norm"])
    assert read["lyapunov"].attrs["units"] == "nats per step"


def test_many_rows_span_chunks(path: Path) -> None:
    log = LaboratoryLog(path)
    for step in range(150):
        log.append(few(1).assign_coords(step=[step]) + step)
        if step % 40 == 0:
            log.flush()
    log.flush()
    data = stored(path)
    assert list(data["step"].values) == list(range(150))
    expected = np.array([[2.0, 3.0]]) + np.arange(150)[:, None]
    np.testing.assert_array_equal(data["dead"], expected)


def test_a_row_between_others_and_a_second_row_of_a_step(path: Path) -> None:
    log = written(path, rows(0), rows(200), rows(400))
    written(path, rows(300, 100))
    xarray.testing.assert_identical(stored(path), DATA)
    assert log.steps() == [0, 100, 200, 300, 400]
    written(path, rows(200) + 1)
    data = stored(path)
    assert list(data["step"].values) == [0, 100, 200, 300, 400]
    np.testing.assert_array_equal(data["lyapunov"].sel(step=200), rows(200)["lyapunov"][0] + 1)
    np.testing.assert_array_equal(data["lyapunov"].sel(step=300), rows(300)["lyapunov"][0])


def test_rows_with_other_labels_and_variables(path: Path) -> None:
    log = written(path, rows(0, 100))
    more = rows(200).assign_coords(exponent=[2, 3, 4, 5]).drop_vars("lag_norm")
    written(path, more.assign(extra=("step", [7.0])))
    data = stored(path)
    assert list(data["exponent"].values) == [0, 1, 2, 3, 4, 5]
    assert np.isnan(data["extra"].values).tolist() == [True, True, False]
    assert np.isnan(data["lag_norm"].sel(step=200)).all()
    np.testing.assert_array_equal(data["lyapunov"][:2, :, :4], rows(0, 100)["lyapunov"])
    np.testing.assert_array_equal(data["lyapunov"][2, :, 2:], more["lyapunov"][0])
    inode = path.stat().st_ino
    log.append(rows(300))  # fits into the wider store, which another log made
    log.flush()
    assert path.stat().st_ino == inode
    np.testing.assert_array_equal(stored(path)["lyapunov"][3, :, :4], rows(300)["lyapunov"][0])
    assert np.isnan(stored(path)["extra"].values[3])


def test_truncated_for_a_run_that_resumes(path: Path) -> None:
    log = written(path, rows(0, 100, 200))
    log.append(rows(300))
    log.truncate(199)
    assert log.steps() == [0, 100]
    log.truncate(100)
    assert log.steps() == [0, 100]
    xarray.testing.assert_identical(stored(path), rows(0, 100))
    log.append(rows(200))
    log.flush()
    xarray.testing.assert_identical(stored(path), rows(0, 100, 200))
    log.truncate(None)
    assert not path.exists()
    assert log.load() is None
    LaboratoryLog(path.with_name("nowhere.zarr")).truncate(10)


@pytest.mark.usefixtures("cut_short")
@pytest.mark.filterwarnings(
    "ignore:.*never awaited", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    ("before", "stride", "during"),
    [
        ([], 5, lambda log: written(log.path, few(0, 1))),
        ([few(0, 1)], 2, lambda log: written(log.path, few(2, 3))),
        ([few(0, 2)], 7, lambda log: written(log.path, few(1))),
        ([few(0, 1, 2)], 1, lambda log: log.truncate(1)),
        ([few(0)], 1, lambda log: log.truncate(None)),
    ],
    ids=["first", "append", "between", "cut", "all"],
)
def test_killed_at_any_moment(
    tmp_path: Path,
    before: list[xarray.Dataset],
    stride: int,
    during: Callable[[LaboratoryLog], None],
) -> None:
    written(tmp_path / "before" / "laboratory.zarr", *before)
    for operation in range(1, 1000, stride):
        path = tmp_path / str(operation) / "laboratory.zarr"
        shutil.copytree(tmp_path / "before", path.parent)
        with killed_at(operation, "laboratory") as hit:
            during(LaboratoryLog(path))
        log = LaboratoryLog(path)
        log.truncate(0)  # the run goes on from the step before all others
        assert log.steps() in ([0], [])
        log.append(few(1, 2, 3, 4))
        log.append(few(0))
        log.flush()
        xarray.testing.assert_identical(stored(path), SMALL)
        assert sorted(os.listdir(path.parent)) == ["laboratory.lock", "laboratory.zarr"]
        if not hit[0]:
            break
    assert operation > 5


def test_a_store_that_was_being_replaced(path: Path) -> None:
    old = path.with_name(".laboratory.zarr.old")
    written(path, few(0, 1))
    path.rename(old)  # killed between the two renames
    assert LaboratoryLog(path).steps() == [0, 1]
    assert not old.exists()
    shutil.copytree(path, old)  # killed before the old one was gone
    written(path, few(2))
    assert not old.exists()
    xarray.testing.assert_identical(stored(path), few(0, 1, 2))


def test_a_store_that_was_being_removed(path: Path) -> None:
    gone = path.with_name(".laboratory.zarr.gone")
    written(path, few(0, 1))
    path.rename(gone)
    (gone / "step" / "c" / "0").unlink()
    assert LaboratoryLog(path).steps() == []
    written(path, few(3))
    assert not gone.exists()
    xarray.testing.assert_identical(stored(path), few(3))


def test_a_damaged_store_is_named(path: Path) -> None:
    written(path, few(0))
    (path / "zarr.json").write_text("{")
    with pytest.raises(UsageError, match=r"laboratory\.zarr is damaged .*remove it"):
        LaboratoryLog(path).steps()


def test_readers_see_all_new_rows_or_none(path: Path) -> None:
    """The gathered metadata changes last, so that no variable is longer than another."""
    written(path, few(0, 1))
    for operation in range(1, 500):
        LaboratoryLog(path).truncate(1)
        with killed_at(operation, "laboratory") as hit:
            written(path, few(2))
        root = json.loads((path / "zarr.json").read_text())
        arrays = root["consolidated_metadata"]["metadata"].values()
        lengths = {meta["shape"][0] for meta in arrays if "step" in meta["dimension_names"]}
        assert lengths in ({2}, {3})
        if not hit[0]:
            return
    raise AssertionError("never got through")
