"""What was measured: one JSON a run in a folder of benchmarks/results, and the newest of them."""

import json
from datetime import UTC, datetime


def save(folder, report, **how):
    """Keep a report, as json.dumps takes it, under the time of now; returns its path."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%d-%H%M%S}.json"
    dated = {"datetime": f"{now:%Y-%m-%dT%H:%M:%S}"} | report
    path.write_text(json.dumps(dated, indent=1, **how) + "\n", "utf-8")
    return path


def newest(folder):
    """The run with the latest date in it; files' own times do not survive a clone."""
    runs = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    if not runs:
        raise SystemExit(f"No run is saved in {folder}. Measure first: python benchmarks/run.py")
    return max(runs, key=lambda run: run["datetime"])
