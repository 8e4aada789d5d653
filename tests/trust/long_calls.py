"""Every call that may take long, stopped by Ctrl-C: `python -m tests.trust.long_calls [SECONDS]`.

One line a call: its name, how it ended ("result" or "KeyboardInterrupt"), and the seconds from the
signal until then. In a process of its own: the signal is the main thread's.
"""

import signal
import sys
import tempfile
import time
import warnings
from itertools import count
from pathlib import Path

import numpy as np

import gdcore as gd

AFTER = 0.15  # seconds until the signal


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 40))
    return X, (X[:, 0] + rng.normal(size=len(X)) > 0).astype(int), X[:, 1] + rng.normal(size=len(X))


def sparse(X):
    from scipy import sparse as sp

    rng = np.random.default_rng(1)
    return sp.random(len(X), 2_000, 0.005, "csr", rng=rng, dtype=np.float64)


def calls(folder):
    """{name: a call that would take minutes}."""
    X, labels, y = data()
    S = sparse(X)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", labels)
    endless = {"tol": 0, "max_epochs": 10**8, "n_threads": 2, "random_state": 0}
    found = {}

    def fits(kind, optimizer, A, target, **more):
        model = kind(optimizer=optimizer, **endless | more)
        found[f"{kind.__name__} {optimizer}"] = lambda: model.fit(A, target).result_

    for optimizer in ("newton", "lbfgs", "fista", "adgd", "saga", "svrg", "adam", "sgd"):
        fits(gd.LogisticRegression, optimizer, X, labels)
    fits(gd.LinearRegression, "nesterov", X, y)
    fits(gd.LinearClassifier, "adam", X, labels, loss="hinge")
    few = {"hidden_layer_sizes": (64, 64), "tol": 0, "max_epochs": 10**8, "random_state": 0}
    network = gd.MLPClassifier(**few)
    regressor = gd.MLPRegressor(dtype="float64", n_threads=2, **few)
    forest = gd.LogisticRegression(l1_ratio=0.5, **endless)
    scarce = gd.LogisticRegression(optimizer="adam", **endless)
    chunked = gd.LogisticRegression(optimizer="lbfgs", **endless)
    found |= {
        "MLPClassifier": lambda: network.fit(X, labels).result_,
        "MLPRegressor, 2 threads": lambda: regressor.fit(X, y).result_,
        "LogisticRegression L1": lambda: forest.fit(X, labels).result_,
        "LogisticRegression CSR": lambda: scarce.fit(S, labels).result_,
        "LogisticRegression .npy": lambda: chunked.fit(folder / "X.npy", folder / "y.npy").result_,
    }
    stream = gd.LogisticRegression()
    learner = gd.MLPClassifier(hidden_layer_sizes=(64,))

    def again(call):
        def endlessly():
            for _ in count():
                result = getattr(call(), "result_", None)  # of a fit that answered by a result
                if result is not None and result.status is gd.Status.INTERRUPTED:
                    return result

        return endlessly

    fitted = gd.LogisticRegression().fit(X[:500], labels[:500])
    text = "the quick brown fox jumps over the lazy dog, and the dog does not care at all. " * 400
    gpt = {"n_layer": 2, "n_head": 2, "n_embd": 32, "block_size": 32, "random_state": 0}
    writer = gd.GPT(**gpt).fit(text, max_steps=2, batch_size=4)
    student = gd.GPT(**gpt)
    words = ({f"word{i % 5000}": 1.0} for i in count())

    def valley(x):
        g = np.empty_like(x)
        g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
        g[-1] = 0
        g[1:] += 200 * (x[1:] - x[:-1] ** 2)
        return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)), g

    def slow(x):
        time.sleep(0.01)
        return valley(x)

    start = np.full(3_000, -1.2)
    never = {"tol": 0, "gtol": 0, "ftol": 0, "xtol": 0, "max_iter": 10**8}
    return found | {
        "partial_fit": again(lambda: stream.partial_fit(X, labels, classes=[0, 1])),
        "MLPClassifier.partial_fit": again(lambda: learner.partial_fit(X, labels)),
        "learn_one": again(lambda: stream.learn_one(X[0], 1)),
        "predict": again(lambda: fitted.predict_proba(X)),
        "score CSR": again(lambda: gd.LinearRegression(max_epochs=1, tol=9e9).fit(S, y)),
        "minimize": lambda: gd.minimize(valley, start, method="adam", learning_rate=1e-9, **never),
        "minimize, restarts": lambda: gd.minimize(slow, start[:4], restarts=10**6),
        "check_gradient": again(lambda: gd.check_gradient(slow, start)),
        "find_learning_rate": again(lambda: gd.find_learning_rate(slow, start)),
        "GPT.fit": lambda: student.fit(text, max_steps=10**8, batch_size=4).result_,
        "GPT.evaluate": again(lambda: writer.evaluate(text)),
        "GPT.generate": again(lambda: writer.generate("the", max_tokens=2_000)),
        "BPE": again(lambda: gd.tokenizers.BPE.train(text * 200, 5_000)),
        "hash_features": lambda: gd.hash_features(words),
    }


def stopped(call):
    """(how it ended, seconds from the signal until then)."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, AFTER)
    began = time.monotonic()
    try:
        result = call()
        how = "result" if result.status is gd.Status.INTERRUPTED else f"too soon: {result.status}"
    except KeyboardInterrupt:
        how = "KeyboardInterrupt"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return how, time.monotonic() - began - AFTER


def main(only=None):
    warnings.simplefilter("ignore", gd.ConvergenceWarning)
    with tempfile.TemporaryDirectory() as folder:
        for name, call in calls(Path(folder)).items():
            if only is None or only in name:
                how, late = stopped(call)
                print(f"{name}\t{how}\t{late:.4f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
