"""What a page shows of the laboratory: its coordinates and values, or nothing of a damaged one."""

from pathlib import Path

import numpy as np

from rnnexp.report.page.collect import collect
from tests.helpers.packed_arrays import unpack
from tests.helpers.report_runs import laboratory, write_laboratory, write_whole_run


def test_the_page_holds_the_laboratory_with_its_coordinates(runs_dir: Path) -> None:
    there = laboratory(range(0, 200, 40), 40)
    data = next(run for run in collect([runs_dir])["runs"] if run["cell"] == "lstm")
    for name, variable in data["laboratory"].items():
        assert variable["dims"] == list(there[name].dims)
        for dim in variable["dims"]:
            assert variable["coords"][dim] == there[name].coords[dim].values.tolist()
        values = there[name].values
        room = np.ptp(values) / 65_000
        np.testing.assert_allclose(unpack(variable["values"]), values, rtol=1.5e-3, atol=room)
    assert "lag_norm" in data["laboratory"]
    assert collect([runs_dir])["thinned"] == {"profiles": "", "laboratory": "", "curves": ""}


def test_a_damaged_laboratory_leaves_the_rest_of_its_run(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path, with_laboratory=True)
    (run / "laboratory.zarr" / "zarr.json").write_text("{")
    data = collect([tmp_path])
    assert data["runs"][0]["laboratory"] is None
    assert data["runs"][0]["profiles"]
    assert "laboratory.zarr" in data["notes"][0]


def test_a_laboratory_of_other_names_is_no_laboratory(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path)
    write_laboratory(run, laboratory(range(3), 4)[["dead"]].rename(dead="other"))
    assert collect([tmp_path])["runs"][0]["laboratory"] is None
