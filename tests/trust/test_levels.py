"""GDCORE_SIMD: one build, three levels of x86-64, and what may differ between them."""

import os
import subprocess
import sys

import numpy as np
import pytest

from gdcore import kernels
from tests.kernels import twins
from tests.tally import count
from tests.trust import levels

HERE = kernels.simd_level()
ORDER = ["baseline", "x86-64-v3", "x86-64-v4"]
BELOW = ORDER[: ORDER.index(HERE)] if HERE in ORDER else []
ABOVE = (
    ORDER[ORDER.index(HERE) + 1 :] if HERE in ORDER and not os.environ.get("GDCORE_SIMD") else []
)
native = pytest.mark.skipif(twins.NATIVE is None or HERE == "numpy", reason="the compiled core")


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@native
@pytest.mark.parametrize("level", BELOW)
def test_levels_differ_by_fused_rounding_alone(tmp_path, level):
    """To the bit; where products are fused, within eight ulps of the largest number."""
    short = level.removeprefix("x86-64-")
    run = python("-m", "tests.trust.levels", str(tmp_path / "there.npz"), GDCORE_SIMD=short)
    assert run.returncode == 0, run.stderr
    here, there = levels.answers(), dict(np.load(tmp_path / "there.npz"))
    assert here.keys() == there.keys()
    for key, numbers in here.items():
        allowed = 8 if levels.family(key.split("/")[0]) in levels.FUSED else 0
        assert levels.distance(key, numbers, there[key]) <= allowed, key
    count(f"kernel answers at {level} compared with those at a higher level", len(here))


@native
@pytest.mark.parametrize("level", [*BELOW, *([HERE] if HERE in ORDER else [])])
def test_a_level_is_what_was_asked_for(level):
    run = python(
        "-c",
        "import gdcore; print(gdcore.kernels.simd_level())",
        GDCORE_SIMD=level.removeprefix("x86-64-"),
    )
    assert run.stdout.strip() == level


@native
@pytest.mark.parametrize("level", ABOVE)
def test_a_level_above_the_processors_is_an_error(level):
    run = python(
        "-c", "import gdcore", GDCORE_BACKEND="native", GDCORE_SIMD=level.removeprefix("x86-64-")
    )
    assert run.returncode == 1
    assert f"but the kernels run at {HERE}, the highest level of this" in run.stderr
    assert "Ask for a lower level, or unset it." in run.stderr


def test_only_three_levels_have_names():
    run = python("-c", "import gdcore", GDCORE_SIMD="avx2")
    assert run.returncode == 1
    assert "GDCORE_SIMD must be baseline, v3 or v4, got 'avx2'. Set one of" in run.stderr
