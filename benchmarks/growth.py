"""How time grows with rows and columns: python benchmarks/growth.py [MOST_ROWS] [MOST_COLUMNS]

A default `LogisticRegression` to tol=1e-6 on 10⁴ … 10⁷ rows of 50 columns, and the exponent of n in
its time. `LinearRegression` on 10⁵ rows of 16 … 2048 columns, neighbours correlated by 0.9, in
closed form, by Newton's method and by L-BFGS to 1e-6, and where descent overtakes the closed form.
The least of some fits each. Saves JSON under benchmarks/results/growth and draws docs/growth.svg;
smaller sizes than those save nothing. Needs 16 GB of memory; --draw only draws what was saved.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks.problem import examples  # noqa: E402
from benchmarks.saved import newest, save  # noqa: E402
from gdcore.threads import available  # noqa: E402

FOLDER, PICTURE = ROOT / "benchmarks" / "results" / "growth", ROOT / "docs" / "growth.svg"
ROWS = [10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6, 3 * 10**6, 10**7]
FROM = 10**5  # rows from which the exponent is fitted
WIDE = 10**5  # rows of the second picture
COLUMNS = [16, 32, 64, 128, 256, 512, 1024, 2048]
SOLVERS = ["closed-form", "newton", "lbfgs"]
CORRELATED = 0.9
MOST_SECONDS = 20.0  # of repeated fits
TOL = 1e-6


def least(fit):
    """Seconds of the fastest of up to five fits."""
    seconds, began = [], time.perf_counter()
    while len(seconds) < 5 and (not seconds or time.perf_counter() - began < MOST_SECONDS):
        start = time.perf_counter()
        fit()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def by_rows(most):
    """{n: seconds}."""
    sizes = [n for n in ROWS if n <= most]
    X, y = examples(sizes[-1], 50)
    found = {}
    for n in sizes:
        model = gd.LogisticRegression(tol=TOL)
        found[n] = least(lambda model=model, n=n: model.fit(X[:n], y[:n]))
        print(f"{n:>10,} rows  {found[n]:9.4f} s  {model.result_.message}", flush=True)
    return found


def exponent(seconds):
    """The slope of log time against log n."""
    sizes = [n for n in seconds if n >= FROM]
    times = [seconds[n] for n in sizes]
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0]) if len(sizes) > 1 else None


def neighbours(n, p):
    """X (n, p), each column correlated with the one before, and y with as much noise as signal."""
    rng = np.random.default_rng(0)
    X = np.empty((n, p))
    for a in range(0, n, 1_000):
        rows = rng.standard_normal(out=X[a : a + 1_000])
        rows[:, 1:] *= np.sqrt(1 - CORRELATED**2)
        for j in range(1, p):
            rows[:, j] += CORRELATED * rows[:, j - 1]
    y = X @ rng.normal(size=p)
    return X, y + rng.normal(0, y.std(), n)


def by_columns(most):
    """{solver: {p: seconds}}."""
    found = {solver: {} for solver in SOLVERS}
    for p in (p for p in COLUMNS if p <= most):
        X, y = neighbours(WIDE, p)
        for solver in SOLVERS:
            model = gd.LinearRegression(optimizer=solver, tol=TOL)
            found[solver][p] = least(lambda model=model, X=X, y=y: model.fit(X, y))
            print(f"{p:>6,} columns  {solver:12} {found[solver][p]:9.4f} s", flush=True)
    return found


def crossing(seconds, solver):
    """Columns from where on the solver is faster than the closed form, on straight lines between
    what was measured; the least measured where it always is, None where it never is."""
    sizes = list(seconds["closed-form"])
    ratios = [np.log(seconds["closed-form"][p] / seconds[solver][p]) for p in sizes]
    behind = [i for i, ratio in enumerate(ratios) if ratio <= 0]
    if not behind:
        return sizes[0]
    last = behind[-1]
    if last == len(sizes) - 1:
        return None
    share = -ratios[last] / (ratios[last + 1] - ratios[last])
    return round(float(sizes[last] * (sizes[last + 1] / sizes[last]) ** share))


def measure(most_rows, most_columns):
    rows, columns = by_rows(most_rows), by_columns(most_columns)
    return {
        "what": "seconds: LogisticRegression(tol=1e-6) by rows of 50 float64 columns; "
        f"LinearRegression(tol=1e-6) by columns of {WIDE:,} rows",
        "rows": rows, "exponent": exponent(rows), "fitted_from": FROM,
        "columns": columns, "rows_of_columns": WIDE,
        "crossing": {solver: crossing(columns, solver) for solver in SOLVERS[1:]},
        "threads": available(), "simd": gd.kernels.simd_level(),
        "versions": {"numpy": version("numpy"), "gdcore": gd.__version__},
    }  # fmt: skip


def draw(report):
    """Two pictures beside each other, legible at 800 pixels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {"font.size": 11, "svg.hashsalt": "growth", "axes.spines.top": False,
             "axes.spines.right": False, "svg.fonttype": "path"}  # fmt: skip
    with pyplot.rc_context(style):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
        draw_rows(left, report)
        draw_columns(right, report)
        metadata = {"Date": None}  # the same picture from the same numbers
        figure.savefig(PICTURE, metadata=metadata, facecolor="white")
        pyplot.close(figure)


def draw_rows(axes, report):
    rows = {int(n): seconds for n, seconds in report["rows"].items()}
    axes.loglog(list(rows), list(rows.values()), "o", color="#0072B2")
    sizes = np.array([n for n in rows if n >= report["fitted_from"]])
    slope = report["exponent"]
    level = np.exp(np.mean(np.log([rows[n] for n in sizes]) - slope * np.log(sizes)))
    axes.loglog(sizes, level * sizes**slope, "-", color="#0072B2")
    at = np.sqrt(sizes[0] * sizes[-1])
    axes.annotate(
        f"time ∝ n$^{{{slope:.2f}}}$", (at, level * at**slope), (-10, 10),
        textcoords="offset points", ha="right", color="#0072B2",
    )  # fmt: skip
    axes.set(xlabel="rows n (50 columns)", ylabel="seconds",
             title="LogisticRegression() to 1e-6")  # fmt: skip
    axes.grid(alpha=0.25)


def draw_columns(axes, report):
    looks = {
        "closed-form": ("closed form", "s--", "#000000"),
        "newton": ("Newton", "o-", "#0072B2"),
        "lbfgs": ("L-BFGS", "^-", "#D55E00"),
    }
    for solver, (name, look, color) in looks.items():
        seconds = {int(p): each for p, each in report["columns"][solver].items()}
        axes.loglog(list(seconds), list(seconds.values()), look, color=color, label=name)
        if crossed := report["crossing"].get(solver):
            axes.axvline(crossed, color=color, linestyle=":", linewidth=1, zorder=0)
    axes.set_xscale("log", base=2)
    axes.set(xlabel=f"columns ({report['rows_of_columns']:,} rows)", ylabel="seconds",
             title="least squares to 1e-6")  # fmt: skip
    axes.set_xticks(list(seconds), [str(p) for p in seconds])
    axes.minorticks_off()
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)


def main():
    if sys.argv[1:] == ["--draw"]:
        return draw(newest(FOLDER))
    sizes = [int(given) for given in sys.argv[1:]] or [ROWS[-1], COLUMNS[-1]]
    report = measure(*sizes)
    print(f"time ∝ n^{report['exponent']}; overtakes at columns: {report['crossing']}")
    if sizes == [ROWS[-1], COLUMNS[-1]]:
        path = save(FOLDER, report)
        draw(json.loads(path.read_text("utf-8")))


if __name__ == "__main__":
    main()
