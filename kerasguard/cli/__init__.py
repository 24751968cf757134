"""The command line: `kerasguard inspect | verify | plan | repair | diff | report | scan | ...`.

Thin over the public functions: a command parses, calls one of them and prints; what a checkpoint
means is decided below. Nothing imports from here. Start with `program`, then `commands`.
"""

from kerasguard.cli.program import main

__all__ = ["main"]
