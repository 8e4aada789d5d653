"""Measure everything and save it: python benchmarks/run.py [arguments for pytest].

Whole runs are saved under benchmarks/results. A run with arguments (-k, a file …) is saved only
where --benchmark-json says, so that the table is never made of a part.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The first two make OpenBLAS take another processor's kernels or block sizes, which would slow the
# peers down; the rest would hold back the rows with two threads. The runs set threads themselves.
UNSET = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
    "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
)  # fmt: skip


def main(arguments):
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment.setdefault("GDCORE_BACKEND", "native")  # a missing core is an error here
    command = [sys.executable, "-m", "pytest", "-q", "benchmarks", *arguments]
    if arguments:
        return subprocess.call(command, cwd=ROOT, env=environment)
    name = f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    saved = ROOT / "benchmarks" / "results" / name
    with tempfile.TemporaryDirectory() as folder:  # what fails half-way leaves nothing
        unfinished = Path(folder) / name
        command.append(f"--benchmark-json={unfinished}")
        if status := subprocess.call(command, cwd=ROOT, env=environment):
            return status
        saved.parent.mkdir(exist_ok=True)
        shutil.copyfile(unfinished, saved)
    print(f"Saved {saved.relative_to(ROOT)}. Write the README's table: python benchmarks/table.py")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
