"""A store can be read at any moment; one of another program is not appended to."""

import json
import threading
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


def test_a_stranger_s_store_runs_no_code(tmp_path: Path) -> None:
    """Pickled objects in format 2, and codecs and types that no run writes, are refused unread."""
    import zarr

    old = tmp_path / "old.zarr"
    zarr.create_group(old, zarr_format=2)
    with pytest.raises(UsageError, match="not in format 3 of Zarr"):
        zarr_append.load(old)
    for key, value, words in (
        ("codecs", [{"name": "numcodecs.pickle"}], "the codec 'numcodecs.pickle'"),
        ("data_type", "null_terminated_bytes", "the type 'null_terminated_bytes'"),
        ("zarr_format", 2, "not in format 3"),
    ):
        for gathered in (True, False):
            path = tmp_path / f"{key}{gathered}.zarr"
            write(path, range(3))
            root = json.loads((path / "zarr.json").read_text())
            meta = json.loads((path / "dL_dh" / "zarr.json").read_text())
            if gathered:
                root["consolidated_metadata"]["metadata"]["dL_dh"][key] = value
            else:
                del root["consolidated_metadata"]
                (path / "dL_dh" / "zarr.json").write_text(json.dumps(meta | {key: value}))
            (path / "zarr.json").write_text(json.dumps(root))
            with pytest.raises(UsageError, match=words):
                zarr_append.load(path)


def test_a_store_that_is_replaced_meanwhile_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "g.zarr"
    write(path, range(3))
    path.rename(tmp_path / "aside")
    back = threading.Timer(0.15, lambda: (tmp_path / "aside").rename(path))
    back.start()
    assert zarr_append.load(path).sizes["step"] == 3
    back.join()
