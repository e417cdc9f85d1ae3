"""The run that several test files of commands look at."""

import pytest

from tests.helpers.user_run import UserRun, make_user_run


@pytest.fixture(scope="session")
def user_run(tmp_path_factory: pytest.TempPathFactory) -> UserRun:
    """The run of a user's own cell and task, made once."""
    return make_user_run(tmp_path_factory.mktemp("user"))
