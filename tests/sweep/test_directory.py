"""A sweep's directory may come from a stranger: it names no code to run and no place outside."""

import json
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.sweep.directory import (
    is_run_name,
    require_imports,
    runs_dir_of,
    sweep_folder,
    with_hashes,
)
from rnnexp.sweep.plan import read_plan, write_plan
from tests.helpers.planned_runs import small_runs

EVIL = "from pathlib import Path\nPath({mark!r}).write_text('ran')\n"


def change_header(sweep_dir: Path, **facts: object) -> None:
    file = sweep_dir / "sweep.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


@pytest.fixture
def sweep_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "sweeps" / "s"
    write_plan(folder, small_runs({"seed": 1}, {"seed": 2}), tmp_path / "runs", imports=[])
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["sweep", "--status", "{}"], ["sweep", "--retry-failed", "{}"], ["sweep", "--cancel", "{}"],
        ["compare", "{}"], ["report", "{}", "-o", "{}/x.html"], ["list", "runs"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("hashed", [True, False])
def test_code_that_a_sweep_names_does_not_run(
    tmp_path: Path, sweep_dir: Path, command: list[str], hashed: bool
) -> None:
    evil, mark = tmp_path / "evil.py", tmp_path / "mark"
    evil.write_text(EVIL.format(mark=str(mark)))
    change_header(sweep_dir, imports=list(with_hashes([str(evil)])) if hashed else [str(evil)])
    arguments = [part.format(sweep_dir) for part in command]
    code = main([*arguments, "--runs-dir", str(tmp_path / "runs")])
    assert not mark.exists()
    assert code == 2 if "--retry-failed" in command else code in (0, 2)


def test_what_was_imported_must_be_named_again_unchanged(tmp_path: Path, sweep_dir: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")
    change_header(sweep_dir, imports=list(with_hashes([str(file)])))
    require_imports(sweep_dir, with_hashes([str(file)]))
    with pytest.raises(UsageError, match=r"planned with --import .*mine\.py \(SHA-256"):
        require_imports(sweep_dir, ())
    file.write_text("x = 2\n")
    with pytest.raises(UsageError, match="Name that file, unchanged"):
        require_imports(sweep_dir, with_hashes([str(file)]))
    change_header(sweep_dir, imports=[str(file)])  # a plan of an older version
    require_imports(sweep_dir, with_hashes([str(file)]))
    with pytest.raises(UsageError, match=r"planned with --import .*mine\.py\. Name it"):
        require_imports(sweep_dir, ())


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".", "..", "x" * 201, "a\0b", "/tmp/x"])
def test_a_sweep_stays_below_the_runs_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a sweep's name is that of a folder"):
        sweep_folder(tmp_path, name)
    for more in ([], ["--search", "random"]):
        arguments = ["sweep", "adding/rnn", *more, "--name", name, "--runs-dir", str(tmp_path)]
        assert main(arguments) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("run", ["../x/y", "a/b/../../../c", "/etc/x/y", "a/b", "a/b/c/d", "a//b"])
def test_a_planned_run_lies_below_the_runs_directory(sweep_dir: Path, run: str) -> None:
    assert not is_run_name(run)
    lines = [json.loads(line) for line in (sweep_dir / "plan.jsonl").read_text().splitlines()]
    lines[1]["run"] = run
    (sweep_dir / "plan.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UsageError, match="line 2: a run is TASK/CELL/RUN_ID"):
        read_plan(sweep_dir)
    for command in (["compare", str(sweep_dir)], ["sweep", "--status", str(sweep_dir)]):
        assert main(command) == 2


def test_the_runs_directory_holds_the_sweep(tmp_path: Path, sweep_dir: Path) -> None:
    assert runs_dir_of(sweep_dir).resolve() == tmp_path / "runs"
    for place in (str(tmp_path / "elsewhere"), "../../elsewhere", 3, None):
        change_header(sweep_dir, runs_dir=place)
        with pytest.raises(UsageError, match="runs"):
            runs_dir_of(sweep_dir)
        for command in (["compare", str(sweep_dir)], ["sweep", "--status", str(sweep_dir)]):
            assert main(command) == 2
