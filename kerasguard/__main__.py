"""`python -m kerasguard` is `kerasguard`."""

import sys

from kerasguard.cli import main

sys.exit(main())
