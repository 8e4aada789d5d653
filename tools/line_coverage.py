"""Lines of gdcore/ that the suite ran, from `coverage json`; refuses less than 95 %.

The counts go to benchmarks/results/trust/coverage.json, which docs/trust.md is written from.
"""

import json
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "trust" / "coverage.json"
LEAST = 95.0  # percent


def main(path):
    report = json.loads(Path(path).read_text())
    files = {name: found["summary"] for name, found in report["files"].items()}
    run = sum(found["covered_lines"] for found in files.values())
    lines = sum(found["num_statements"] for found in files.values())
    share = 100 * run / lines
    worst = sorted(files, key=lambda name: files[name]["missing_lines"], reverse=True)[:15]
    for name in worst:
        missed = ", ".join(map(str, report["files"][name]["missing_lines"]))
        print(f"{files[name]['percent_covered']:5.1f} %  {name}: {missed}")
    print(f"{run:,} of {lines:,} statements ({share:.1f} %)")
    found = {
        "lines": lines, "lines run": run, "coverage": report["meta"]["version"],
        "python": platform.python_version(), "how": "make coverage",
    }  # fmt: skip
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return int(share < LEAST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
