"""Time of the import statement in a fresh interpreter, the interpreter's own start left out."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.group import Group, SelfTimed, each
from benchmarks.replay import clock

ROOT = Path(__file__).parents[1]
CODE = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
STATEMENTS = {
    "gdcore": "import gdcore",
    "NumPy": "import numpy",
    "scikit-learn": "import sklearn.linear_model",
    "torch": "import torch",
    "gdcore: and an estimator": "import gdcore; gdcore.LogisticRegression",  # names load lazily
}


def build(setting):
    environment = dict(os.environ)
    if not setting.smoke:
        # Everybody's bytecode comes from one cache, filled by the warm-up.
        cache = setting.stack.enter_context(tempfile.TemporaryDirectory())
        environment["PYTHONPYCACHEPREFIX"] = cache
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def seconds(statement):
        command = [sys.executable, "-c", CODE.format(statement)]
        return float(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))

    return {
        name: SelfTimed(lambda statement=statement: seconds(statement))
        for name, statement in STATEMENTS.items()
    }


GROUPS = {  # at most 1.5 times NumPy's, which is part of gdcore's
    "fresh": Group("import", build, tuple(STATEMENTS), wanted={"NumPy": 0.67})
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_import(contend, group, contender):
    contend(GROUPS[group], contender)
