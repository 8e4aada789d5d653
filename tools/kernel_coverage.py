"""Lines and decisions of the kernels' loops that tests ran: `python tools/kernel_coverage.py`.

In a tree that was built by `GDCORE_CFLAGS="--coverage -O0 -DGD_NO_CLONES" python setup.py build_ext
--inplace` and has run its tests since. What counts is the body of every `cdef` function in src/:
there is nothing in it but the kernel's own code. Specialisations of one line are one; a decision
has two ways, and each is one to be taken.
"""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OBJECTS = "build/temp*/build/cython/src"


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


def measured():
    """({(file, line): times}, {(file, line, way): times}) over all modules."""
    kernels = {path.name: bodies(path) for path in (ROOT / "src").glob("*.p*")}
    lines, ways = defaultdict(int), defaultdict(int)
    (objects,) = ROOT.glob(OBJECTS)
    for source in sorted((ROOT / "build/cython/src").glob("*.c")):
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


if __name__ == "__main__":
    lines, ways = measured()
    for what, found in (("lines", lines), ("ways of decisions", ways)):
        run = sum(times > 0 for times in found.values())
        print(f"{what}: {run} of {len(found)} ({100 * run / len(found):.1f} %)")
    missed = sorted({(name, number) for (name, number, _), times in ways.items() if not times})
    print("not both ways:", ", ".join(f"{name}:{number}" for name, number in missed))
