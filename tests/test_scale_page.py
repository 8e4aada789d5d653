"""docs/scale.md: its figures are those of the newest run, and its model is a model."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.tree


def test_the_page_says_what_was_measured():
    run = subprocess.run([sys.executable, "docs/make_scale.py", "--check"], cwd=ROOT)
    assert run.returncode == 0, "python docs/make_scale.py writes it anew"


def test_another_network_gives_another_projection():
    def printed(*arguments):
        command = [sys.executable, "docs/make_scale.py", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    slow, fast = printed("--latency", "0.01"), printed("--latency", "1e-5", "--bandwidth", "1e11")
    assert "10000 µs" in slow
    assert "800 Gbit/s" in fast
    assert slow != fast
