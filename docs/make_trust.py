"""Runs the suites of trust and writes docs/trust.md from what they counted.

`make trust RUN="SUITE …"` sets up and runs them, thoroughly where GDCORE_THOROUGH=1; of those that
passed the counts are saved as benchmarks/results/trust/SUITE.json. Without `--run` the page alone
is written; `--check` compares.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.saved import newest  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
FOLDER = RESULTS / "trust"
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
OTHERS = {  # name: (title, command), counted in the same way
    "fuzz-files": ("Files changed by coverage (atheris)", "make fuzz-files"),
    "sanitizers": ("AddressSanitizer and UndefinedBehaviorSanitizer, no report", "make test-asan"),
    "valgrind": ("valgrind, no report", "make test-valgrind"),
}
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def command(name):
    return f"make trust RUN={name}"


def run(name):
    """One suite, its counts in JSON where it passed; the exit code of pytest."""
    _, files = SUITES[name]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        out = Path(room) / f"{name}.json"
        settings = {"GDCORE_TALLY": str(out), "GDCORE_BACKEND": "native"}
        call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
        code = subprocess.run(call, cwd=ROOT, env=os.environ | settings).returncode
        if code == 0:
            (FOLDER / f"{name}.json").write_bytes(out.read_bytes())
    return code


def known(name):
    """What was counted last under a name, or None."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def tried():
    """A line for each thing that was counted, and what ran where."""
    lines, places = ["| what was tried | how often | reproduce |", "|---|---:|---|"], {}
    ways = {name: (title, command(name)) for name, (title, _) in SUITES.items()} | OTHERS
    for name, (title, call) in ways.items():
        if (found := known(name)) is None:
            continue
        call = " ".join([*(f"{name}={value}" for name, value in found["settings"].items()), call])
        passed, failed = (found["outcomes"][kind] for kind in ("passed", "failed"))
        lines.append(f"| **{title}**: {passed:,} tests passed, {failed} failed | | `{call}` |")
        lines += [f"| {what} | {times:,} | |" for what, times in found["tried"].items()]
        where = [f"CPython {found['python']}", f"NumPy {found['numpy']}", found["machine"]]
        places[", ".join([*where, found["simd"]])] = None
    return [*lines, "", f"Run on {'; '.join(places)}."]


def wheels():
    """Where the suite passed on the installed wheel."""
    if (found := known("wheels")) is None:
        return []
    lines = [
        f"`make test-wheel`: {found['wheel']}, {found['bytes'] / 2**20:.2f} MiB.",
        "",
        "| CPython | NumPy | on | passed | failed | skipped |",
        "|---|---|---|---:|---:|---:|",
    ]
    for run in found["runs"]:
        counts = run["outcomes"]
        free = " (its own wheel, without the GIL)" if run["product"].endswith(".gz") else ""
        failed = counts["failed"] + counts["error"]
        lines.append(
            f"| {run['python']}{free} | {run['numpy']}, the {run['versions']} | {run['machine']}, "
            f"{run['simd']} | {counts['passed']:,} | {failed} | {counts['skipped']} |"
        )
    return [*lines, ""]


def coverage():
    """Lines and decisions that tests run."""
    lines = ["| what | of | run | share | reproduce |", "|---|---:|---:|---:|---|"]
    whole, kernels = known("coverage"), known("kernel-coverage")
    shares = [
        ("statements of gdcore/", whole, "lines", "lines run"),
        ("lines of the kernels' bodies", kernels, "lines", "lines run"),
        ("ways of the kernels' decisions", kernels, "decisions", "decisions run"),
    ]
    for what, found, of, run in shares:
        if found is not None:
            share = 100 * found[run] / found[of]
            counts = f"{found[of]:,} | {found[run]:,} | {share:.1f} %"
            lines.append(f"| {what} | {counts} | `{found['how']}` |")
    return [*lines, ""]


def measured():
    """What bad days cost, as ratios of medians."""
    lines = ["| what | ratio | reproduce |", "|---|---:|---|"]
    for name, ratio in newest(RESULTS / "nested")["to one thread a fit"].items():
        what = f"GridSearchCV on two workers, {name}, to n_threads=1"
        lines.append(f"| {what} | {ratio:.2f} | `python benchmarks/nested.py` |")
    command = "python benchmarks/run.py -k test_denormals --benchmark-json=…"
    took = {
        (entry["extra_info"]["label"], entry["extra_info"]["contender"]): entry["stats"]["median"]
        for entry in newest(RESULTS / "denormals")["benchmarks"]
    }
    for (label, who), median in took.items():
        if ordinary := took.get((label, f"{who}, ordinary")):
            what = f"{label}: {who.replace(':', '')}, to ordinary numbers"
            lines.append(f"| {what} | {median / ordinary:.2f} | `{command}` |")
    return [*lines, ""]


def figures():
    """All of it, as Markdown."""
    parts = {"Wheels": wheels, "Coverage": coverage, "Measured": measured}
    rest = [line for title, part in parts.items() for line in (f"### {title}", "", *part())]
    return "\n".join([*tried(), "", *rest])


def page(text):
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures()}\n{END}{after}"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--run", nargs="*", choices=SUITES, help="run these suites; all, if none")
    parser.add_argument("--check", action="store_true", help="compare the page, write nothing")
    asked = parser.parse_args(arguments)
    if asked.run is not None:
        failed = [name for name in asked.run or SUITES if run(name)]
        if failed:
            print(f"Failed, and not saved: {', '.join(failed)}.")
            return 1
    text = PAGE.read_text(encoding="utf-8")
    new = page(text)
    if asked.check:
        return int(new != text)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
