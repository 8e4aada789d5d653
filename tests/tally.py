"""What the suites of trust tried, counted for docs/trust.md.

`GDCORE_TALLY=FILE pytest …` writes it down; `GDCORE_THOROUGH=1` lets them try many
times as much as a quick run of the suite has time for.
"""

import json
import os
import platform
from collections import Counter
from pathlib import Path

import numpy as np

THOROUGH = os.environ.get("GDCORE_THOROUGH") == "1"
SETTINGS = ("GDCORE_THOROUGH", "FUZZ_SECONDS")  # how often and how long things are tried
TRIED = Counter()


def count(what, by=1):
    """One more `what` was tried and went as promised: call it after the assertion."""
    TRIED[what] += by


def times(quick, thorough):
    """How often to try: `quick` in the suite, `thorough` where GDCORE_THOROUGH=1."""
    return thorough if THOROUGH else quick


def write(path, outcomes, seconds):
    """The counts, the runner's outcomes, and what ran where, as JSON."""
    import gdcore
    from gdcore import kernels

    found = {
        "tried": dict(sorted(TRIED.items())),
        "outcomes": outcomes,
        "seconds": round(seconds, 1),
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
        "gdcore": gdcore.__version__,
        "backend": "/".join(sorted(set(gdcore.backend().values()))),
        "simd": kernels.simd_level(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    Path(path).write_text(json.dumps(found, indent=1) + "\n")
