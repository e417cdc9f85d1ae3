"""Reading on in a file of lines gives what reading all of it gives."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.run.files import RunLog, read_metrics
from rnnexp.run.metrics_tail import Tail, read_on


def test_each_pass_reads_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, tail = RunLog(tmp_path), Tail([])
    assert read_on(tmp_path) == Tail([])
    for step in range(0, 40, 10):
        files.log("train", [{"step": step, "loss": 1.0}, {"step": step + 5, "loss": 0.5}])
        before, tail = tail, read_on(tmp_path, tail)
        assert tail.rows == read_metrics(tmp_path)
        assert tail.rows[: len(before.rows)] == before.rows
    files.close()
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    assert tail.end == len(whole)
    cut = tail._replace(rows=[{"known": True}])  # what was read is not read again
    with (tmp_path / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"kind":"train","step":90}\n')
    assert read_on(tmp_path, cut).rows == [{"known": True}, {"kind": "train", "step": 90}]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kind":"train","step":1}\n{"kind":"train","st')
    tail = read_on(tmp_path)
    assert [row["step"] for row in tail.rows] == [1]
    with file.open("a") as stream:
        stream.write('ep":2}\n')
    assert [row["step"] for row in read_on(tmp_path, tail).rows] == [1, 2]


def test_a_file_that_a_resumed_run_cut_is_read_anew(tmp_path: Path) -> None:
    files = RunLog(tmp_path)
    files.log("train", [{"step": step, "loss": 1.0} for step in range(30)])
    tail = read_on(tmp_path)
    files.truncate(10)
    assert read_on(tmp_path, tail).rows == read_metrics(tmp_path)
    # It may have grown beyond its former length since.
    files.log("train", [{"step": step, "loss": 2.0} for step in range(10, 50)])
    files.close()
    rows = read_on(tmp_path, tail).rows
    assert rows == read_metrics(tmp_path)
    assert [row["loss"] for row in rows] == [1.0] * 10 + [2.0] * 40


def test_a_damaged_line_is_named_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kind":"train","step":1}\n')
    tail = read_on(tmp_path)
    with file.open("a") as stream:
        stream.write("[]\n")
    with pytest.raises(UsageError, match=r"metrics\.jsonl line 2 is damaged"):
        read_on(tmp_path, tail)
