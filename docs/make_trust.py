"""Runs the suites of trust and writes docs/trust.md from what they counted.

`python docs/make_trust.py --run [SUITE …]` runs them, thoroughly where GDCORE_THOROUGH=1, and saves
benchmarks/results/trust/SUITE.json; without `--run` the page alone is written; `--check` compares.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks" / "results" / "trust"
PAGE = ROOT / "docs" / "trust.md"
TRUST = "tests/trust/"


def these(*patterns):
    """Files of the suites of trust, as pytest is given them."""
    found = (path for pattern in patterns for path in (ROOT / "tests/trust").glob(pattern))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


SUITES = {  # name: (title, files)
    "kernels": (
        "Kernels called with what they must refuse",
        ["tests/kernels", *these("test_kernel_*.py", "test_addresses.py", "test_sizes.py")],
    ),
    "levels": ("Levels of x86-64", these("test_levels.py")),
    "numerics": ("Hard numerical cases", these("test_numerics.py")),
    "concurrency": ("Threads, forks, Ctrl-C", these("test_concurrency.py")),
    "faults": ("Faults injected and survived", these("test_faults_*.py")),
    "security": ("Files made to harm", these("test_security_*.py", "test_found_*.py")),
    "fuzz": ("Fuzzing", these("test_fuzz_*.py")),
    "api": (
        "Names, types, pages",
        [*these("test_api.py", "test_typing.py"), "tests/test_docs.py", "tests/test_pages.py"],
    ),
}
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def command(name):
    return f"python docs/make_trust.py --run {name}"


def run(name):
    """One suite, its counts in JSON; the exit code of pytest."""
    _, files = SUITES[name]
    out = FOLDER / f"{name}.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = {"GDCORE_TALLY": str(out), "GDCORE_BACKEND": "native"}
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    return subprocess.run(call, cwd=ROOT, env=os.environ | settings).returncode


def figures():
    """The table: a line for each thing that was counted, and what ran where."""
    lines, places = ["| what was tried | how often | reproduce |", "|---|---:|---|"], {}
    for name, (title, _) in SUITES.items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        call = "GDCORE_THOROUGH=1 " * found["thorough"] + command(name)
        passed, failed = (found["outcomes"][kind] for kind in ("passed", "failed"))
        lines.append(f"| **{title}**: {passed:,} tests passed, {failed} failed | | `{call}` |")
        lines += [f"| {what} | {times:,} | |" for what, times in found["tried"].items()]
        where = [f"CPython {found['python']}", f"NumPy {found['numpy']}", found["machine"]]
        places[", ".join([*where, found["simd"]])] = None
    return "\n".join([*lines, "", f"Run on {'; '.join(places)}."])


def page(text):
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures()}\n{END}{after}"


def main(arguments):
    if "--run" in arguments:
        chosen = [name for name in arguments if name in SUITES] or list(SUITES)
        codes = [run(name) for name in chosen]
        if any(codes):
            return 1
    text = PAGE.read_text(encoding="utf-8")
    new = page(text)
    if "--check" in arguments:
        return int(new != text)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
