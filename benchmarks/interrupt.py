"""How soon a fit answers Ctrl-C: python benchmarks/interrupt.py [TIMES] [CASE …]

Each solver of the linear models on dense rows (2,000,000 × 54), sparse ones (CSR 200,000 × 50,000,
75 entries a row) and chunks of an .npy file (the dense ones), with one thread. A process of its own
sends SIGINT at random moments from a fit's begin to its end, or to 5 s of it: checks, moments, the
sample to start from, steps and proofs alike. Reported is the longest time from the signal until
`fit` is over, by a result or by KeyboardInterrupt. JSON under benchmarks/results/interrupt.
"""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks.saved import save  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "interrupt"
TIMES, MOST, ALLOWED = 4, 5.0, 0.2  # signals a case, seconds until one, seconds until the answer
ROWS, COLUMNS = 2_000_000, 54
SPARSE_ROWS, SPARSE_COLUMNS, ENTRIES = 200_000, 50_000, 75
# Reads "seconds", waits as long, sends the signal, writes when.
FINGER = """
import os, signal, sys, time
for line in sys.stdin:
    time.sleep(float(line))
    now = time.monotonic()
    os.kill(os.getppid(), signal.SIGINT)
    print(now, flush=True)
"""


def logistic(**settings):
    return gd.LogisticRegression(n_threads=1, random_state=0, **settings)


def solvers():
    """{name: (estimator, the name of its targets)}."""
    found = {
        name: (logistic(optimizer=name), "classes")
        for name in ("newton", "lbfgs", "fista", "nesterov", "adgd", "saga", "svrg")
    }
    found |= {
        "newton, no penalty": (logistic(alpha=0), "classes"),
        "L1": (logistic(l1_ratio=1.0, alpha=1e-3), "classes"),
        "softmax": (logistic(), "three"),
        "sgd, 256": (logistic(batch_size=256), "classes"),
        "adam, 256": (logistic(batch_size=256, optimizer="adam"), "classes"),
        "early stopping": (logistic(early_stopping=True), "classes"),
        "hinge": (gd.LinearClassifier(n_threads=1), "classes"),
        "quantile": (gd.LinearRegression(loss="quantile", n_threads=1), "numbers"),
        "closed-form": (gd.LinearRegression(optimizer="closed-form", n_threads=1), "numbers"),
    }
    return found


ABSENT = {("closed-form", "sparse"), ("closed-form", "chunks"), ("saga", "chunks"),
          ("svrg", "chunks"), ("newton", "sparse")}  # fmt: skip


def targets(z, rng):
    return {
        "classes": (z + rng.logistic(size=len(z)) > 0).astype(int),
        "three": np.digitize(z + rng.logistic(size=len(z)), [-1, 1]),
        "numbers": z + rng.normal(size=len(z)),
    }


def dense():
    rng = np.random.default_rng(0)
    X, w = np.empty((ROWS, COLUMNS)), rng.normal(size=COLUMNS) / 4
    for a in range(0, ROWS, 50_000):
        rng.standard_normal(out=X[a : a + 50_000])
        X[a : a + 50_000, 1:] += 0.5 * X[a : a + 50_000, :-1]
    return X, targets(X @ w, rng)


def sparse():
    rng = np.random.default_rng(0)
    step = SPARSE_COLUMNS // ENTRIES  # one entry in each of as many parts of the columns
    indices = np.arange(ENTRIES) * step + rng.integers(0, step, (SPARSE_ROWS, ENTRIES))
    data, w = rng.normal(size=indices.shape), rng.normal(size=SPARSE_COLUMNS)
    z = (data * w[indices]).sum(axis=1) / 4
    indptr = np.arange(SPARSE_ROWS + 1) * ENTRIES
    shape = (SPARSE_ROWS, SPARSE_COLUMNS)
    return gd.CSR(data.ravel(), indices.ravel(), indptr, shape), targets(z, rng)


class Finger:
    """The process that sends the signals."""

    def __enter__(self):
        command = [sys.executable, "-c", FINGER]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        # one in the background of a shell would be deaf
        self.before = signal.signal(signal.SIGINT, signal.default_int_handler)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self.before)
        self.process.stdin.close()
        self.process.wait()

    def interrupted(self, fit, seconds):
        """(seconds from the signal to the end, how it ended); None where it came too late."""
        self.process.stdin.write(f"{seconds}\n")
        try:
            try:
                fit()
                ended, how = time.monotonic(), "result"
            except KeyboardInterrupt:
                ended, how = time.monotonic(), "exception"
            sent = float(self.process.stdout.readline())
        except KeyboardInterrupt:  # after the fit
            self.process.stdout.readline()
            return None
        return (ended - sent, how) if ended >= sent else None


def length(model, X, y):
    """Seconds that a fit takes, up to MOST."""
    start = time.perf_counter()
    model.set_params(max_time=MOST)
    model.fit(X, y)
    model.set_params(max_time=float("inf"))
    return min(MOST, time.perf_counter() - start)


def case(model, X, y, finger, times):
    rng, found = np.random.default_rng(0), []
    most = length(model, X, y)
    for _ in range(4 * times):
        if len(found) == times:
            break
        moment = float(rng.uniform(0.01, 0.95 * most))
        answer = finger.interrupted(lambda: model.fit(X, y), moment)
        if answer is not None:
            found.append((*answer, moment))
    found.sort()
    worst = found[-1]
    return {"worst": worst[0], "at": worst[2], "of": most, "ended": worst[1],
            "all": [each[0] for each in found]}  # fmt: skip


def measure(times, names):
    found = {}
    with tempfile.TemporaryDirectory() as folder, Finger() as finger:
        for kind in ("dense", "chunks", "sparse"):
            if names and not any(kind in name for name in names):
                continue
            X, ys = sparse() if kind == "sparse" else dense()
            if kind == "chunks":
                path = Path(folder) / "X.npy"
                np.save(path, X)
                X = str(path)
            for name, (model, y) in solvers().items():
                label = f"{name}, {kind}"
                if (name, kind) in ABSENT or (names and not any(n in label for n in names)):
                    continue
                found[label] = one = case(model, X, ys[y], finger, times)
                print(f"{label:30} {one['worst']:6.3f} s at {one['at']:.2f} of {one['of']:.2f} s, "
                      f"{one['ended']}", flush=True)  # fmt: skip
    return found


def main():
    warnings.simplefilter("ignore")
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    found = measure(times, sys.argv[2:])
    worst = max(found, key=lambda label: found[label]["worst"])
    print(f"worst {found[worst]['worst']:.3f} s: {worst}; {ALLOWED} s are allowed")
    report = {
        "what": f"seconds from SIGINT until fit is over, the worst of {times} random moments",
        "cases": found, "worst": worst, "threads": 1, "cores": len(os.sched_getaffinity(0)),
        "simd": gd.kernels.simd_level(), "machine": platform.machine(),
        "versions": {"numpy": version("numpy"), "gdcore": gd.__version__,
                     "python": platform.python_version()},
    }  # fmt: skip
    save(FOLDER, report)


if __name__ == "__main__":
    main()
