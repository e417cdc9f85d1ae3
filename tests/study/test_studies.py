"""The studies of the repository: they load, and the guide's table is that of their results."""

from pathlib import Path

import pytest

from rnnexp.study import tables
from rnnexp.study.assess import assess
from rnnexp.study.claims import claims_hash
from rnnexp.study.load import load_study
from rnnexp.study.store import read_results, require_whole
from rnnexp.study.trainings import trainings

ROOT = Path(__file__).parent.parent.parent / "experiments"
STUDIES = sorted((ROOT / "studies").rglob("*.py"))
RESULTS = sorted((ROOT / "studies").glob("*.json"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_study_loads_is_planned_and_has_the_name_of_its_file(file: Path) -> None:
    study = load_study(file)
    assert study.name == file.stem
    assert (file.parent.name == "planned") == (file.with_suffix(".json") not in RESULTS)
    trainings(study)


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_stored_verdicts_follow_from_the_stored_values(file: Path) -> None:
    study, stored = load_study(file.with_suffix(".py")), read_results(file)
    require_whole(stored, study, file)
    assert stored.claims_hash == claims_hash(study)
    found = assess(study, stored.measured)
    assert stored.content["counts"] == found.counts
    for row, kept in zip(found.rows, stored.content["verdicts"], strict=True):
        assert kept["claim"] == row.claim.name
        assert (kept["word"], kept["detail"]) == (row.verdict.word, row.verdict.detail)


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_the_table_beside_the_values_is_that_of_the_study(file: Path) -> None:
    study, stored = load_study(file.with_suffix(".py")), read_results(file)
    found = assess(study, stored.measured, hours=stored.hours, runs=stored.runs)
    assert file.with_suffix(".md").read_text() == tables.markdown(found)


def test_the_guide_has_the_table_of_the_results() -> None:
    table = tables.markdown_table(tables.summary([read_results(file) for file in RESULTS]))
    assert table in (ROOT / "README.md").read_text()
