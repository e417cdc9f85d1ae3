"""The study of a search refuses storages that cannot be used, and studies of other searches."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.sweep.search.study import close_storage, open_storage, open_study


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("study.db", "is no URL of a database"),
        ("sqlite://", "in memory"),
        ("nothing://host/name", "no driver"),
        ("oracle://me:secret@host/name", "no driver"),
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(
    url: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_storage(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_study_of_another_search_is_refused(tmp_path: Path) -> None:
    storage = open_storage(None, tmp_path)
    open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 0})
    open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 0})
    with pytest.raises(UsageError, match="its seed is 0"):
        open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 1})
    close_storage(storage)
