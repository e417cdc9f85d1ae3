"""The command `watch` prints where the page is, and ends quietly."""

import json
import os
import signal
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from rnnexp.report.watch import serve as module
from rnnexp.report.watch.serve import Place


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was served, by a server that Ctrl-C ends as soon as it answers."""
    found, serve = [], module.serve

    def serve_a_moment(directory: Path, place: Place, started: object) -> str:
        def tell() -> None:
            assert callable(started)
            started()
            os.kill(os.getpid(), signal.SIGINT)

        found.append(directory)
        return serve(directory, place, tell)

    monkeypatch.setattr(module, "serve", serve_a_moment)
    return found


def test_it_prints_the_address_and_ends_with_130(
    served: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(tmp_path)]) == 130
    printed = capsys.readouterr()
    assert printed.out.startswith("http://127.0.0.1:")
    assert "?token=" in printed.out
    assert printed.err == ""
    assert main(["watch", "--runs-dir", str(tmp_path / "later"), "--json"]) == 130
    told = json.loads(capsys.readouterr().out)
    assert told["address"].startswith(f"http://127.0.0.1:{told['port']}/?token=")
    assert served == [tmp_path, tmp_path / "later"]


def test_a_directory_that_comes_later_is_said(
    served: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(tmp_path / "later")]) == 130
    assert f"{tmp_path / 'later'} does not exist yet" in capsys.readouterr().out
    assert not (tmp_path / "later").exists()


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([str(tmp_path / "no" / "no")], [str(tmp_path), "--port=70000"]):
        assert main(["watch", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
