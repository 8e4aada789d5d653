"""SIGKILL at any moment of a fit: the last whole checkpoint loads, and goes on to the same bits."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.tally import count, times
from tests.trust.killing import CALLS, FITS

SHARES, AT_CALLS = times(1, 25), times(2, 24)  # moments of each model
MOST = {"write": 150, "fsync": 20, "replace": 10, "replaced": 10}


def moments(name):
    """Shares of the time that a fit takes, and calls in the midst of checkpoints."""
    rng = np.random.default_rng(list(name.encode()))
    found = [("share", float(share)) for share in rng.random(SHARES)]
    calls = rng.permutation(len(CALLS))
    for number in range(AT_CALLS):
        call = CALLS[calls[number % len(CALLS)]]
        found.append((call, int(rng.integers(MOST[call]))))
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX's")
@pytest.mark.parametrize("name", FITS)
def test_killed_fits_go_on_to_the_same_bits(tmp_path, name):
    kills = moments(name)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.trust.killing", name, tmp_path,
         json.dumps(kills)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["whole"] == found["kept"]
    assert found["same"]
    for each in found["moments"]:
        assert each["killed"] or each["said"] == found["whole"], each  # too late is no kill
        assert (each["ended"], each["bits"]) == (0, found["whole"]), each
        assert each["left"] in (["run"], []), each
    killed = [each for each in found["moments"] if each["killed"]]
    assert len(killed) >= len(kills) // 2
    count("faults survived: SIGKILL in a fit", sum(k["kill"][0] == "share" for k in killed))
    count(
        "faults survived: SIGKILL within a checkpoint", sum(k["kill"][0] != "share" for k in killed)
    )
