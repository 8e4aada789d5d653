"""Writes the tally of a run where GDCORE_TALLY names a file."""

import os
import time

from tests import tally

STARTED = time.monotonic()


def pytest_terminal_summary(terminalreporter):
    path = os.environ.get("GDCORE_TALLY")
    if path:
        outcomes = {
            kind: len(terminalreporter.stats.get(kind, ()))
            for kind in ("passed", "failed", "error", "skipped", "deselected")
        }
        tally.write(path, outcomes, time.monotonic() - STARTED)
