"""`python -m kerasguard` is `kerasguard`."""

import sys

from kerasguard.cli.program import main

sys.exit(main())
