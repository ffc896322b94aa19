"""The command ``adamw-pset``: ctrl-C while it imports the package ends with a word, not a traceback."""

from __future__ import annotations

import sys


def main() -> int:
    """Run ``adamw_pset.cli.main``; 130 if interrupted before it begins."""
    try:
        from adamw_pset.cli import main as command
    except KeyboardInterrupt:
        print("\nStopped before anything was begun.", file=sys.stderr)
        return 130
    return command()
