"""A run that seems to train, without training: its process holds the lock and adds lines.

python -m tests.helpers.growing_run RUNS_DIR SEED
"""

import sys
import time
from itertools import count
from pathlib import Path

from rnnexp.run.files import RunLog
from tests.helpers.synthetic_runs import synthetic_config, synthetic_name

EVERY_S = 0.1


def main() -> None:
    """Add a line every so often, until the process is killed."""
    runs_dir, seed = Path(sys.argv[1]), int(sys.argv[2])
    config = synthetic_config("adding/rnn", {"seed": seed})
    files = RunLog(runs_dir / synthetic_name("adding/rnn", config))
    files.write_json("config.json", config)
    files.log("baseline", [{"step": 0, "loss": 0.5}])
    files.set_status("running", 0, "")
    for step in count(0, 10):
        files.log("train", [{"step": step, "loss": 1 / (1 + step / 100)}])
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
