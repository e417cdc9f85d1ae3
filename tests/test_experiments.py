"""The scripts that measure still run, small. (Those that only train are not among them.)"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.data_files import DATA, data_or_skip

pytestmark = pytest.mark.slow

SMALL = {
    "atlas": (
        ["--updates", "2", "--networks", "GRU", "memory network"],
        ["GRU: adding, 100: ", "memory network: two facts, 2 hops: ", "drawn", "written"],
    ),
    "cold_start": (["--starts", "1"], ["first", "cold", "warm", "kept", "list"]),
    "contrastive_divergence": (
        ["--steps", "30", "--out", "divergence.png"],
        ["bias of CD-k", "update 30", "drawn"],
    ),
    "gpu_kernels": (["--works", "W4"], ["small checks"]),
    "gradient_flow": (["--steps", "20"], ["trained", "drawn", "written"]),
    "hopfield_capacity": (
        ["--trials", "2", "--sizes", "200", "--out", "hopfield.png"],
        ["ends at alpha = 0.137906, m = 0.9674", "drawn"],
    ),
    "laboratory_cost": (["--rounds", "1"], ["over training without"]),
    "long_sequences": (["--rounds", "1", "--seconds", "0.1", "--workloads", "W4"], ["MiB"]),
    "many_runs": (["--runs", "40", "--rounds", "1"], ["| compare |", "the page: "]),
    "over_smoothing": (["--steps", "60"], ["| λ₂² | 0.647", "| antisymmetric |"]),
    "over_squashing": (
        [
            *("--radii", "2", "--updates", "gru", "rnn", "--seeds", "2", "--steps", "20"),
            *("--out", "squashed.png"),
        ],
        ["| 2 | gru |", "| 2 | rnn |", "drawn"],
    ),
    "recording_cost": (["--rounds", "1"], ["compile time at T=10,000"]),
    "storage_cost": (
        ["--rounds", "1", "--every", "40", "--moments", "2"],
        ["gradients, own", "laboratory, xarray"],
    ),
    "sweep_speed": (
        ["--runs", "1", "--in-turn", "1"],
        ["processes / sweep", "lane in turn / sweep"],
    ),
    "time_parallel": (["--rounds", "1", "--steps", "64"], ["exponent", "associative"]),
}


@pytest.mark.parametrize("name", SMALL)
def test_an_experiment_runs(name: str, root: Path, tmp_path: Path) -> None:
    arguments, expected = SMALL[name]
    surroundings = os.environ | {"TMPDIR": str(tmp_path)}
    if name in ("cold_start", "gradient_flow"):
        surroundings["RNNEXP_DATA"] = str(data_or_skip(DATA["mnist"]))
    if name in ("atlas", "gradient_flow", "over_squashing"):
        arguments = [*arguments, "--runs-dir", str(tmp_path)]
    arguments = [str(tmp_path / a) if a.endswith(".png") else a for a in arguments]
    done = subprocess.run(
        [sys.executable, "-W", "error", root / "experiments" / f"{name}.py", *arguments],
        capture_output=True, text=True, cwd=root, env=surroundings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in expected:
        assert words in done.stdout, done.stdout
