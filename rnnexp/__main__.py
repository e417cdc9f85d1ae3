"""`python -m rnnexp` is `rnnexp`."""

import sys

from rnnexp.cli.main import main

sys.exit(main())
