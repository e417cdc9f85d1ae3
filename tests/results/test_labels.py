"""Labels tell runs apart by what differs, or by the names that their users gave them."""

from pathlib import Path

from rnnexp.results.index import read_index
from rnnexp.results.labels import labels_of, name_runs
from rnnexp.run.about import About, write_about
from tests.helpers.synthetic_runs import write_run


def test_labels_say_what_differs(tmp_path: Path) -> None:
    rates = {"optimizer.learning_rate": 1e-2}, {"optimizer.learning_rate": 1e-3}
    for age, (name, changes) in enumerate(
        [("adding/lstm", rates[0]), ("adding/lstm", rates[1]), ("adding/gru", {})]
    ):
        write_run(tmp_path, name, changes, age=age)
    expected = ["lstm learning_rate=0.01", "lstm learning_rate=0.001", "gru"]
    assert labels_of(read_index(tmp_path)) == expected
    assert [named.label for named in name_runs(read_index(tmp_path))] == [
        "gru", "lstm learning_rate=0.001", "lstm learning_rate=0.01",
    ]  # fmt: skip
    write_run(tmp_path, "copy_memory/gru", {"seed": 3}, age=9)
    assert labels_of(read_index(tmp_path))[-2:] == ["adding gru seed 0", "copy_memory gru seed 3"]
    assert labels_of([]) == []


def test_a_name_is_the_label_and_stays_unique(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "adding/lstm", {"seed": seed}, age=seed) for seed in range(3)]
    write_about(tmp_path / runs[0], About("mine"))
    assert labels_of(read_index(tmp_path)) == ["mine", "lstm seed 1", "lstm seed 2"]
    write_about(tmp_path / runs[1], About("mine"))
    assert labels_of(read_index(tmp_path)) == [
        f"mine ({tmp_path / runs[0]})", f"mine ({tmp_path / runs[1]})", "lstm seed 2",
    ]  # fmt: skip


def test_how_a_process_worked_tells_no_runs_apart(tmp_path: Path) -> None:
    for seed in range(2):
        changes = {"seed": seed, "train.budget_minutes": float(seed)}
        write_run(tmp_path, "adding/lstm", changes, age=seed)
    assert labels_of(read_index(tmp_path)) == ["lstm seed 0", "lstm seed 1"]
    assert {named.group for named in name_runs(read_index(tmp_path))} == {0}
