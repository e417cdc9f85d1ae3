"""The table of exporters: their packages and extras, and that none uses the network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.export import EXPORTERS, export
from rnnexp.results.load import Run
from tests.helpers.exported import needed


def test_a_package_that_is_missing_is_named_with_its_extra(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, entry in EXPORTERS.items():
        monkeypatch.setitem(sys.modules, entry.package, None)
        with pytest.raises(UsageError, match=rf"pip install 'rnnexp\[{entry.package}\]'"):
            export(run, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="Did you mean 'tensorboard'"):
        export(run, "tensorbord", tmp_path / "out")


def test_the_project_s_extras_install_what_the_exporters_need(root: Path) -> None:
    import tomllib

    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for entry in EXPORTERS.values():
        assert any(line.startswith(entry.package) for line in extras[entry.package])


@pytest.mark.parametrize("to", EXPORTERS)
def test_no_export_uses_the_network(run: Run, tmp_path: Path, to: str) -> None:
    needed(EXPORTERS[to].package)
    if shutil.which("strace") is None:
        pytest.skip("strace, which sees the connections of all processes, is not installed")
    program = (
        "import sys; from pathlib import Path; from rnnexp.export import export\n"
        "from rnnexp.results.load import load_run\n"
        "export(load_run(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))"
    )
    elsewhere = {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "WANDB_BASE_URL": "http://127.0.0.1:9",
    }
    here = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_CURRENT_TEST")}
    subprocess.run(
        [
            "strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", str(tmp_path / "calls"),
            sys.executable, "-c", program, str(run.path), to, str(tmp_path / "out"),
        ],
        check=True, env=here | elsewhere, capture_output=True,
    )  # fmt: skip
    calls = (tmp_path / "calls").read_text()
    assert "exited with 0" in calls
    assert "sa_family=AF_INET" not in calls
