"""A store can be read at any moment; one of another program is not appended to."""

import json
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.run import zarr_append
from tests.helpers.gradient_stores import write
from tests.helpers.killed_write import killed_at


def test_a_store_of_another_kind_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "g.zarr"
    write(path, range(0, 30, 10))
    meta = json.loads((path / "zarr.json").read_text())
    meta["consolidated_metadata"]["metadata"]["dL_dh"]["codecs"].append({"name": "zstd"})
    (path / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(UsageError, match="dL_dh is compressed"):
        write(path, [30])


@pytest.mark.usefixtures("cut_short")
@pytest.mark.filterwarnings("ignore:.*not recognized as a component of a Zarr hierarchy")
def test_a_store_is_read_whatever_moment_an_append_was_killed_at(tmp_path: Path) -> None:
    for operation in range(1, 1000):
        path = tmp_path / str(operation) / "g.zarr"
        write(path, range(0, 50, 10))
        with killed_at(operation, "g.zarr") as hit:
            write(path, range(50, 900, 10))
        steps = zarr_append.load(path)["step"].values.tolist()
        assert steps in [list(range(0, last, 10)) for last in (50, 690, 900)]
        if not hit[0]:
            break
    assert operation > 20
    assert steps[-1] == 890


def test_a_store_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.zarr"
    with pytest.raises(UsageError, match=r"cannot read .*g\.zarr"):
        zarr_append.load(path)
    write(path, range(0, 50, 10))
    (path / "zarr.json").write_text("{")
    with pytest.raises(UsageError, match=r"cannot read .*g\.zarr"):
        zarr_append.load(path)
