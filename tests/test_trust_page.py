"""docs/trust.md: its figures are those that were counted, and its commands exist."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "trust.md"
RESULTS = ROOT / "benchmarks" / "results" / "trust"
pytestmark = pytest.mark.tree


def test_the_page_says_what_was_counted():
    run = subprocess.run([sys.executable, "docs/make_trust.py", "--check"], cwd=ROOT)
    assert run.returncode == 0, "python docs/make_trust.py writes it anew"


def test_nothing_that_was_counted_had_failed():
    counted = [json.loads(path.read_text()) for path in RESULTS.glob("*.json")]
    suites = [found for found in counted if "outcomes" in found]
    assert len(suites) > 5
    for found in suites:
        assert found["outcomes"]["passed"] > 0
        assert found["outcomes"]["failed"] == found["outcomes"]["error"] == 0
