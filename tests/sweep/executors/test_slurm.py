"""Settings of Slurm are checked before any job is submitted."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from tests.helpers.counted_jobs import run


def test_slurm_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown --slurm key 'partitoin'.*Did you mean 'parti"):
        run(tmp_path, 1, "slurm", slurm={"partitoin": "short"})
    with pytest.raises(UsageError, match="time=1:00:00: expected a whole number of minutes"):
        run(tmp_path, 1, "slurm", slurm={"time": "1:00:00"})
    with pytest.raises(UsageError, match=r"cannot use Slurm: .*srun"):
        run(tmp_path, 1, "slurm", slurm={"cluster": "slurm"})
