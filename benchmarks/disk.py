"""Memory of fits to files larger than it should take: python benchmarks/disk.py FOLDER [GIGABYTES]

Writes a pair of .npy files of that size (8 by default, 54 float64 columns, two classes) into a
folder of its own below FOLDER and deletes it afterwards. Each fit is in a process of its own with
one thread: LogisticRegression() on the path, the same by shuffled mini-batches, and, with pyarrow,
on a CSV file of a tenth of the rows' numbers at most and on the Parquet file made from it.

Reported is the peak of RssAnon in /proc/self/status, read by a thread every 2 ms: memory of the
process's own, interpreter and libraries included. Pages of mapped files, which the system takes
back when it likes, count in VmHWM alone. Linux only. Saves JSON under benchmarks/results/disk, from
8 GB on.
"""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.saved import save  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "disk"
COLUMNS, GIGABYTES, BLOCK = 54, 8.0, 50_000
TEXT_ROWS = 1_000_000  # of the CSV file at most
EVERY = 0.002  # seconds


def status(name):
    """Megabytes of that line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {name}. Run this on Linux.")


class Peak:
    """The largest RssAnon while it is entered."""

    def __enter__(self):
        self.most, self.ended = status("RssAnon"), threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        while not self.ended.wait(EVERY):
            self.most = max(self.most, status("RssAnon"))

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def blocks(rows):
    """(X, y) of 50,000 rows each: correlated columns of several scales, noisy classes."""
    rng = np.random.default_rng(0)
    w, scale = rng.normal(size=COLUMNS) / 4, 10.0 ** rng.integers(-3, 4, COLUMNS)
    for a in range(0, rows, BLOCK):
        Z = rng.standard_normal((min(BLOCK, rows - a), COLUMNS))
        Z[:, 1:] += 0.5 * Z[:, :-1]
        yield Z * scale + scale, (Z @ w + rng.logistic(size=len(Z)) > 0).astype(np.int8)


def write_arrays(folder, rows):
    """The pair, block by block: nothing of it is mapped."""
    X, y = folder / "X.npy", folder / "y.npy"
    with open(X, "wb") as features, open(y, "wb") as targets:
        for file, dtype, shape in ((features, "<f8", (rows, COLUMNS)), (targets, "|i1", (rows,))):
            header = {"descr": dtype, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        for part, classes in blocks(rows):
            features.write(part.tobytes())
            targets.write(classes.tobytes())


def write_text(folder, rows):
    """A CSV file, and a Parquet file read from it piece by piece."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    names = [f"c{j}" for j in range(COLUMNS)]
    with open(folder / "rows.csv", "wb") as file:
        csv_options = csv.WriteOptions(include_header=True)
        for part, classes in blocks(rows):
            table = pa.table({**dict(zip(names, part.T, strict=True)), "class": classes})
            csv.write_csv(table, file, csv_options)
            csv_options = csv.WriteOptions(include_header=False)
    with csv.open_csv(folder / "rows.csv") as reader:
        with parquet.ParquetWriter(folder / "rows.parquet", reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)


def chunks_of(kind, folder):
    import gdcore as gd

    X, y = folder / "X.npy", folder / "y.npy"
    if kind == "path":
        return str(X), np.load(y)
    if kind == "mini-batches":
        return gd.chunks.shuffled(gd.chunks.arrays(X, y)), None
    read = {"csv": gd.chunks.csv, "parquet": gd.chunks.parquet}[kind]
    return read(folder / f"rows.{kind}", target="class"), None


def fit(kind, folder):
    """In a fresh process: what the fit took."""
    import gdcore as gd

    before = status("RssAnon")
    with Peak() as peak:
        X, y = chunks_of(kind, folder)
        more = {"batch_size": 256, "max_epochs": 2} if kind == "mini-batches" else {}
        start = time.perf_counter()
        model = gd.LogisticRegression(n_threads=1, random_state=0, **more).fit(X, y)
        seconds = time.perf_counter() - start
    result = model.result_
    return {
        "peak_anonymous_mb": round(peak.most, 1), "before_mb": round(before, 1),
        "VmHWM_mb": round(status("VmHWM"), 1), "seconds": round(seconds, 1),
        "choice": result.choice, "status": result.status.name, "cost": result.fun,
        "relative_bound": result.bound / result.fun, "passes": result.nfev,
    }  # fmt: skip


def measured(kind, folder):
    command = [sys.executable, "-W", "ignore", __file__, "--fit", kind, str(folder)]
    found = json.loads(subprocess.check_output(command, text=True))
    print(f"{kind:13} {found['peak_anonymous_mb']:7.1f} MB  {found}", flush=True)
    return found


def measure(parent, gigabytes):
    rows = int(gigabytes * 1e9 / (8 * COLUMNS))
    folder, found = Path(tempfile.mkdtemp(prefix="gdcore-disk-", dir=parent)), {}
    try:
        write_arrays(folder, rows)
        size = (folder / "X.npy").stat().st_size
        for kind in ("path", "mini-batches"):
            found[kind] = measured(kind, folder) | {"bytes": size}
        if find_spec("pyarrow"):
            for name in ("X.npy", "y.npy"):
                (folder / name).unlink()
            write_text(folder, min(rows, TEXT_ROWS))
            for kind in ("csv", "parquet"):
                size = (folder / f"rows.{kind}").stat().st_size
                found[kind] = measured(kind, folder) | {"bytes": size}
    finally:
        shutil.rmtree(folder)
    return rows, found


def main():
    if sys.argv[1:2] == ["--fit"]:
        return print(json.dumps(fit(sys.argv[2], Path(sys.argv[3]))))
    gigabytes = float(sys.argv[2]) if len(sys.argv) > 2 else GIGABYTES
    rows, found = measure(sys.argv[1], gigabytes)
    import gdcore as gd

    report = {
        "what": f"MB of RssAnon at its peak: LogisticRegression on {rows:,} rows of {COLUMNS} "
        f"float64 columns on disk; CSV and Parquet {min(rows, TEXT_ROWS):,} rows",
        "gigabytes": gigabytes, "rows": rows, "columns": COLUMNS, "fits": found,
        "threads": 1, "simd": gd.kernels.simd_level(), "machine": platform.machine(),
        "versions": {
            name: version(name) for name in ("numpy", "pyarrow") if find_spec(name)
        } | {"gdcore": gd.__version__, "python": platform.python_version()},
    }  # fmt: skip
    if gigabytes >= GIGABYTES:
        save(FOLDER, report)


if __name__ == "__main__":
    main()
