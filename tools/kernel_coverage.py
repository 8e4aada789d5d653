"""Lines and decisions of the kernels' loops that tests ran: `make kernel-coverage`.

What counts is the body of every `cdef` function in src/: there is nothing in it but the kernel's
own code. Specialisations of one line are one; a decision has two ways, and each is one to be taken.
The counts go to benchmarks/results/trust/kernel-coverage.json, which docs/trust.md is written from.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "trust" / "kernel-coverage.json"
OBJECTS = "temp*/build/gcov/cython/src"


def bodies(path):
    """Numbers of the lines of `cdef` functions."""
    found, inside = set(), False
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if re.match(r"c(p)?def (inline )?\w.*\(", text):
            inside = True
        elif re.match(r"[^\s)#]", text):
            inside = False
        if inside:
            found.add(number)
    return found


def measured(base):
    """({(file, line): times}, {(file, line, way): times}) over all modules."""
    kernels = {path.name: bodies(path) for path in (ROOT / "src").glob("*.p*")}
    lines, ways = defaultdict(int), defaultdict(int)
    (objects,) = base.glob(OBJECTS)
    for source in sorted((base / "cython/src").glob("*.c")):
        call = ["gcov", "-b", "-c", "-j", "-t", "-o", objects, source.relative_to(ROOT)]
        told = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for file in json.loads(told)["files"]:
            name = Path(file["file"]).name
            for line in file["lines"]:
                number, function = line["line_number"], line.get("function_name")
                own = function is None or "__pyx_f_" in function  # None: several specialisations
                if number not in kernels.get(name, ()) or not own:
                    continue
                lines[name, number] += line["count"]
                for i, branch in enumerate(line["branches"]):
                    ways[name, number, i % 2] += branch["count"]
    return lines, ways


def main(base):
    lines, ways = measured(Path(base).resolve())
    found = {"how": "make kernel-coverage"}
    for what, counts in (("lines", lines), ("decisions", ways)):
        run = sum(times > 0 for times in counts.values())
        found |= {what: len(counts), f"{what} run": run}
        print(f"{what}: {run} of {len(counts)} ({100 * run / len(counts):.1f} %)")
    missed = sorted({(name, number) for (name, number, _), times in ways.items() if not times})
    print("not both ways:", ", ".join(f"{name}:{number}" for name, number in missed))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
