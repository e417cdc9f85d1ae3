"""A Zarr store that another program wrote is not appended to."""

import json
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from tests.helpers.gradient_stores import write


def test_a_store_of_another_kind_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "g.zarr"
    write(path, range(0, 30, 10))
    meta = json.loads((path / "zarr.json").read_text())
    meta["consolidated_metadata"]["metadata"]["dL_dh"]["codecs"].append({"name": "zstd"})
    (path / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(UsageError, match="dL_dh is compressed"):
        write(path, [30])
