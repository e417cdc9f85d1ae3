"""The command `inspect`: its table, its data, its picture, and what it says of clipping."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rnnexp.cli.main import main
from tests.helpers.logged_runs import rewritten_run
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.user_run import UserRun


@pytest.fixture
def rewritten(tmp_path: Path) -> Any:
    """Writes a run whose clipping and logged figures are those given."""
    return partial(rewritten_run, tmp_path)


def test_inspect_prints_a_table(user_run: UserRun, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mytask/mycell", str(user_run.path), user_run.path.name):
        assert main(["inspect", name, "--runs-dir", str(user_run.runs_dir)]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"mytask/mycell  {user_run.path}\ncompleted after 3 steps\n")
        for words in ("mean ||dL/dh_t||, layer_0", "lag 6", "(baseline 1)", "nats/step"):
            assert words in out
        assert len([line for line in out.splitlines() if line.startswith("│")]) == 3


def test_inspect_prints_data(user_run: UserRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(user_run.path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    kinds = [row["kind"] for row in data["metrics"]]
    assert kinds == ["baseline", "train", "train", "train", "valid", "test"]
    assert data["gradients"]["dimensions"] == ["step", "layer", "time"]
    assert data["gradients"]["step"] == [0, 1, 2]
    (profile,) = data["gradients"]["dL_dh"][0]
    assert len(profile) == 7
    assert min(profile) > 0
    assert (data["experiment"], data["baseline"]) == ("mytask/mycell", {"loss": 1.0})


def test_inspect_draws(
    user_run: UserRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import matplotlib.pyplot as plt

    assert main(["inspect", str(user_run.path), "--plot", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert f"drawn: {tmp_path / 'x.png'}" in capsys.readouterr().out
    assert main(["inspect", str(user_run.path), "--plot", str(tmp_path / "x.foo")]) == 2
    assert "x.foo: its ending must be one of" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert plt.get_fignums() == []


def test_inspect_says_what_clipping_did(rewritten: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = rewritten("global_norm", 1.0)
    assert main(["inspect", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert (
        "gradient norm at 4 recorded steps: median 17, largest 32; "
        "clipped by global_norm at 1: median 1\n" in shown
    )
    assert "clipping fires on 50 % of the steps" in shown
    assert "the direction is kept\n" in shown
    assert main(["inspect", str(run.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["clipping"]
    assert (told["name"], told["threshold"], told["fired_share"]) == ("global_norm", 1.0, 0.5)
    assert (told["median_before"], told["median_after"], told["max_before"]) == (17.0, 1.0, 32.0)
    assert told["verdict"][1] == "the direction is kept"


@pytest.mark.usefixtures("own_tables")
def test_a_run_without_a_memory_has_no_slots_to_show(
    user_run: UserRun, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(user_run.path), "--memory", "--import", str(user_run.file)]
    assert main(["inspect", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cell 'mycell' of " in line
    assert "has no external memory, so there are no slots to look at" in line
