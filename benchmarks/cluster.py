"""A Dask cluster on this machine against one process, and against dask-glm: benchmarks/cluster.py

Workers are processes on the loopback interface, one thread each, started and warm. A step is one
J(θ) with its gradient over all rows. Measured: what a step costs without rows; how much faster two
workers are than one, and two processes without a cluster; threads of one process and a memory map
on the same rows; the time to the cost at which dask-glm's solvers end. A step's time as a + b·bytes
per worker + c·log₂ workers is fitted to steps on one and two workers. JSON under
benchmarks/results/cluster.
"""

import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from statistics import median

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks.saved import save  # noqa: E402
from gdcore.data import Rows  # noqa: E402
from gdcore.distributed import DaskCost, DaskRows  # noqa: E402
from gdcore.models.family import LinearFamily  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "cluster"
ROWS, COLUMNS, PARTS, WIDE = 4_000_000, 50, 16, 1_000
SIZES = (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000)  # rows that the model is fitted to
PEERS = ("admm", "lbfgs", "newton", "proximal_grad", "gradient_descent")


def block(number, rows, columns):
    """(X, y) that any worker can make."""
    rng = np.random.default_rng(number)
    X = rng.normal(size=(rows, columns))
    w = np.random.default_rng(-1 % 2**32).normal(size=columns) / np.sqrt(columns)
    return X, (2 * X @ w + rng.logistic(size=rows) > 0).astype(float)


def blocks(rows, columns, parts=PARTS):
    make = dask.delayed(block)
    return [make(number, rows // parts, columns) for number in range(parts)]


def started(workers):
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
        dashboard_address=":0", memory_limit=0,
    )  # fmt: skip


def free(columns):
    return gd.penalties.Penalty(np.zeros(columns + 1), np.zeros(columns + 1))


def model(columns):
    return LinearFamily(gd.losses.Logistic(), features=columns)


def timed(step, rounds):
    """Median seconds of a call."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        found.append(time.perf_counter() - start)
    return median(found)


def stepper(cost, columns):
    """A call that measures J and its gradient, at another θ each time."""
    g, rng = np.empty(columns + 1), np.random.default_rng(0)
    return lambda: cost.value_and_gradient(rng.normal(size=columns + 1) / 100, g)


def steps_there(client, rows, columns, rounds, parts=PARTS):
    """Seconds of each of so many steps on a cluster."""
    with DaskRows(blocks(rows, columns, parts), client=client) as there:
        step = stepper(DaskCost(model(columns), there, free(columns)), columns)
        step()
        return [timed(step, 1) for _ in range(rounds)]


def overhead(rounds):
    """Seconds of a step at WIDE columns that reads next to no rows, by workers."""
    found = {}
    for workers in (1, 2):
        with started(workers) as cluster, Client(cluster) as client:
            found[workers] = median(steps_there(client, 4 * workers, WIDE, rounds, parts=workers))
    return found


def throughput(sizes, rounds, turns):
    """({rows: {workers: seconds of a step}}, of each turn what the largest table took).

    Clusters of one and two workers in turn, never both at a time: an idle one takes some percent of
    the cores. Before each the same sums by as many plain processes: what two of them gain is for
    the memory to say, and on a guest of a larger machine it changes by the minute. Smaller tables
    are measured in each fourth turn.
    """
    found, each_turn = {rows: {1: [], 2: []} for rows in sizes}, []
    for number in range(turns):
        turn = {"processes": {}, "workers": {}}
        for workers in (1, 2):
            turn["processes"][workers] = plain(workers, sizes[-1], rounds)
            with started(workers) as cluster, Client(cluster) as client:
                for rows in reversed(sizes) if number % 4 == 0 else sizes[-1:]:
                    seconds = steps_there(client, rows, COLUMNS, rounds)
                    found[rows][workers] += seconds
                    turn["workers"].setdefault(workers, median(seconds))
        each_turn.append(turn)
        gains = [f"{by[1] / by[2]:.2f}×" for by in turn.values()]
        print("two processes and two workers:", *gains, flush=True)
    return {
        rows: {workers: median(each) for workers, each in by.items()} for rows, by in found.items()
    }, each_turn


def _steps_of(number, rows, rounds, together, found):
    """What a process of `plain` does: steps on its rows, each begun together with the others'."""
    with gd.Cost(model(COLUMNS), held(rows, number), free(COLUMNS), 1) as cost:
        step = stepper(cost, COLUMNS)
        step()
        for _ in range(rounds):
            together.wait()
            start = time.perf_counter()
            step()
            found.put(time.perf_counter() - start)
            together.wait()


def plain(processes, rows, rounds):
    """Seconds of a step that so many processes share, without a cluster: what memory allows."""
    context = multiprocessing.get_context("spawn")
    together, found, steps = context.Barrier(processes + 1), context.Queue(), []
    own = rows // processes
    children = [
        context.Process(target=_steps_of, args=(number, own, rounds, together, found))
        for number in range(processes)
    ]
    for child in children:
        child.start()
    for _ in range(rounds):
        together.wait()
        together.wait()
        steps.append(max(found.get() for _ in children))
    for child in children:
        child.join()
    return median(steps)


def held(rows, first=0):
    """The rows that `blocks` has, in one table of this process; others from another first one."""
    X, y, each = np.empty((rows, COLUMNS)), np.empty(rows), rows // PARTS
    for number in range(PARTS):
        part = slice(number * each, (number + 1) * each)
        X[part], y[part] = block(PARTS * first + number, each, COLUMNS)
    return Rows(X, y, np.ones(rows))


def one_process(rows, rounds):
    """{what: seconds of a step} in this process: one and two threads, a memory map."""
    table, found = held(rows), {}
    X, y = table.X, table.y
    for threads in (1, 2):
        with gd.Cost(model(COLUMNS), table, free(COLUMNS), threads) as cost:
            step = stepper(cost, COLUMNS)
            step()
            found[f"n_threads={threads}"] = timed(step, rounds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        np.save(path, X)
        del X, table
        for threads in (1, 2):
            mapped = np.load(path, mmap_mode="r")
            how = {"optimizer": "fista", "tol": 0, "alpha": 0.0, "standardize": False}
            estimator = gd.LogisticRegression(n_threads=threads, max_epochs=1 + rounds, **how)
            seconds = estimator.fit(mapped, y).trace_.seconds  # an epoch is one gradient
            found[f"memory map, n_threads={threads}"] = median(np.diff(seconds)[1:].tolist())
    return found


def peers(rows, solvers):
    """Seconds to the cost at which each solver of dask-glm ends, and ours to the same cost."""
    from dask_glm.algorithms import _solvers

    found = {}
    with started(2) as cluster, Client(cluster) as client:
        parts = client.persist(blocks(rows, COLUMNS))
        shapes = [(rows // PARTS, COLUMNS), (rows // PARTS,)]
        take = [dask.delayed(lambda part, i=i: part[i]) for i in range(2)]
        X, y = (
            da.concatenate([da.from_delayed(take[i](part), shapes[i], float) for part in parts])
            for i in range(2)
        )
        X, y = client.persist([X, y])
        alpha = 1e-4
        for name in solvers:
            how = {} if name in ("newton", "gradient_descent") else {
                "regularizer": "l2", "lamduh": alpha * rows
            }  # fmt: skip
            start = time.perf_counter()
            theta = np.asarray(_solvers[name](X, y, max_iter=100, tol=1e-6, **how)).ravel()
            theirs = time.perf_counter() - start
            penalty = gd.penalties.Penalty(
                np.r_[np.full(COLUMNS, alpha if how else 0.0), 0.0], np.zeros(COLUMNS + 1)
            )
            with DaskRows(X, y, client=client) as held:
                cost = DaskCost(
                    LinearFamily(gd.losses.Logistic(), COLUMNS, columns=bare()), held, penalty
                )
                there = cost.value_and_gradient(np.r_[theta, 0.0], np.empty(COLUMNS + 1))
            start = time.perf_counter()
            with DaskRows(X, y, client=client) as held:
                cost = DaskCost(
                    LinearFamily(gd.losses.Logistic(), COLUMNS, columns=bare()), held, penalty
                )
                result = gd.descend(
                    cost, np.zeros(COLUMNS + 1), gd.optim.LBFGS(), max_epochs=100,
                    stop=gd.convergence.TargetCost(there * (1 + 1e-12)),
                )  # fmt: skip
            ours = time.perf_counter() - start
            found[name] = {
                "theirs": theirs, "ours": ours, "ratio": theirs / ours, "their cost": there,
                "our cost": result.fun, "status": result.status.name, "steps": result.nit,
            }  # fmt: skip
            costs = f"{there:.8f} and {result.fun:.8f} ({result.status.name})"
            print(f"{name:18} {theirs:7.2f} s, gdcore {ours:6.2f} s, {theirs / ours:.1f}×, {costs}")
    return found


def bare():
    """Columns as they are, without an intercept."""
    columns = np.zeros((4, COLUMNS + 1))
    columns[1, :-1] = 1
    return columns


def shared(turns):
    """How much longer a byte takes where two processes read at once, by what plain ones took."""
    one, two = (median(turn["processes"][n] for turn in turns) for n in (1, 2))
    return 2 * two / one


def fitted(steps, without, crowd):
    """a, b and c of t = a + b·bytes per worker + c·log₂ workers, in seconds and bytes.

    A byte counts `crowd` times where two workers share this memory, as it does without a cluster.
    """
    lines, seconds = [], []
    for rows, by in steps.items():
        for workers, each in by.items():
            weight = crowd if workers == 2 else 1.0
            lines.append([1.0, weight * rows * COLUMNS * 8 / workers, np.log2(workers)])
            seconds.append(each)
    for workers, each in without.items():
        lines.append([1.0, 0.0, np.log2(workers)])
        seconds.append(each)
    A, t = np.array(lines), np.array(seconds)
    weights = 1 / t  # relative errors
    a, b, c = np.linalg.lstsq(A * weights[:, None], t * weights, rcond=None)[0]
    return {"a": float(a), "b": float(b), "c": float(c), "crowd": crowd,
            "largest relative error": float(np.abs(A @ [a, b, c] / t - 1).max())}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--turns", type=int, default=16)
    parser.add_argument("--rows", type=int, default=ROWS, help="of the largest table")
    parser.add_argument("--solvers", nargs="*", default=PEERS)
    asked = parser.parse_args()
    sizes = [rows for rows in SIZES if rows <= asked.rows] or [asked.rows]
    # before there is a cluster, whose end takes some seconds more
    local = {rows: one_process(rows, asked.rounds) for rows in sizes}
    for rows, by in local.items():
        print(f"{rows:,} rows:", {name: f"{1e3 * each:.1f} ms" for name, each in by.items()})
    without = overhead(20 * asked.rounds)
    print({workers: f"{1e3 * each:.2f} ms" for workers, each in without.items()}, flush=True)
    steps, turns = throughput(sizes, asked.rounds, asked.turns)
    for rows, by in steps.items():
        print(f"{rows:,} rows: {1e3 * by[1]:.1f} and {1e3 * by[2]:.1f} ms, {by[1] / by[2]:.2f}×")
    line = fitted(steps, without, shared(turns))
    print(line, flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        against = peers(min(asked.rows, 1_000_000), asked.solvers)
    names = ("numpy", "dask", "distributed", "dask-glm")
    save(FOLDER, {
        "what": f"seconds of a logistic step, float64, {COLUMNS} columns, one thread a worker; "
        f"medians of {asked.rounds} a turn, {asked.turns} turns of clusters of one and two workers",
        "overhead": {"columns": WIDE, "seconds": without}, "steps": steps, "one process": local,
        "turns": {"rows": sizes[-1], "seconds": turns},
        "model": line, "dask-glm": against, "cores": len(os.sched_getaffinity(0)),
        "simd": gd.kernels.simd_level(), "machine": platform.machine(),
        "versions": {name: version(name) for name in names}
        | {"gdcore": gd.__version__, "python": platform.python_version()},
    })  # fmt: skip


if __name__ == "__main__":
    main()
