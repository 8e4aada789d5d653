"""Readers of files fuzzed by coverage, for `make fuzz-files`: libFuzzer changes good files.

Each reader runs in a process of its own for FUZZ_SECONDS; the first defect ends it, and is printed
with the bytes that showed it. The counts go to the file that GDCORE_TALLY names.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests import tally

TARGETS = ("load", "load_weights", "load_checkpoint", "tensors.read", "GPT.load", "chunks.arrays",
           "gdcore train")  # fmt: skip


def fuzz_one(name, folder):
    """Run one reader until the time is over; libFuzzer says how often, and leaves by itself."""
    import atheris

    with atheris.instrument_imports(include=["gdcore"]):
        from tests.trust.fuzzing import outcome
        from tests.trust.readers import FILES, READERS

    path = Path(folder, "now" + Path(FILES[name]).suffix)
    warnings.simplefilter("ignore")

    def once(data):
        path.write_bytes(data)
        outcome(READERS[name], path)

    seconds = int(float(os.environ.get("FUZZ_SECONDS", "600")))
    options = [
        f"-max_total_time={seconds}",
        "-max_len=20000",
        "-print_final_stats=1",
        "-rss_limit_mb=2048",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", f"{folder}/corpus"], once)
    atheris.Fuzz()


def main():
    """Each reader, from the file that is good for it; the exit code is 1 where one has a defect."""
    from tests.trust.readers import honest

    failed, started = 0, time.monotonic()
    for name in TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            files, corpus = Path(folder, "files"), Path(folder, "corpus")
            files.mkdir()
            corpus.mkdir()
            (corpus / "good").write_bytes(honest(files)[name].read_bytes())
            command = [sys.executable, "-m", "tests.trust.atheris_files", name, folder]
            done = subprocess.run(command, capture_output=True, text=True)
            said = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
            times = int(said[0].split()[-1]) if said else 0
            print(f"{name}: {times} executions, exit code {done.returncode}", flush=True)
            tally.count(f"files changed by coverage, {name}", times)
            if done.returncode or not times:
                failed += 1
                print(done.stdout[-3000:], done.stderr[-3000:])
    if path := os.environ.get("GDCORE_TALLY"):
        outcomes = {"passed": len(TARGETS) - failed, "failed": failed, "error": 0}
        tally.write(path, outcomes, time.monotonic() - started)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(fuzz_one(*sys.argv[1:]) if len(sys.argv) > 1 else main())
