"""Many fits at once, forks, pools of processes, Ctrl-C: the same bits, and no thread left behind.

What runs in another process is there because a signal, or a fork, is a whole process's.
"""

import multiprocessing
import os
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import gdcore as gd
from gdcore.threads import _blas, _quota, available
from tests.tally import count, times
from tests.trust import long_calls

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12_000, 20))
LABELS = (X @ RNG.normal(size=20) + RNG.normal(size=len(X)) > 0).astype(int)
CLASSES = (X @ RNG.normal(size=(20, 4))).argmax(axis=1)
TARGETS = X @ RNG.normal(size=20)
TEXT = "a gradient is a sum over examples, and a sum has no end but the last of them. " * 30


def sparse():
    from scipy import sparse as sp

    return sp.csr_array(np.where(np.abs(X) > 1, X, 0))


def valley():
    found = gd.minimize(
        lambda x: (
            (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2,
            np.array([-2 * (1 - x[0]) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)]),
        ),
        np.array([-1.2, 1.0]),
    )
    return found.x


def coefficients(kind, A, y, **settings):
    model = kind(n_threads=2, random_state=0, **settings).fit(A, y)
    return model.theta_.vector if hasattr(model, "theta_") else model.coef_


def writer():
    model = gd.GPT(n_layer=1, n_head=2, n_embd=16, block_size=16, random_state=0)
    return model.fit(TEXT, max_steps=8, batch_size=4).theta_.vector


def streamed():
    model = gd.LogisticRegression(random_state=0)
    for part in range(0, 4_000, 1_000):
        model.partial_fit(X[part : part + 1_000], LABELS[part : part + 1_000], classes=[0, 1])
    return model.coef_


FEW = {"max_epochs": 3, "tol": 0}
FITS = {
    "linear": partial(coefficients, gd.LinearRegression, X, TARGETS),
    "logistic": partial(coefficients, gd.LogisticRegression, X, LABELS),
    "mini-batch": partial(coefficients, gd.LogisticRegression, X, LABELS, optimizer="adam", **FEW),
    "softmax": partial(coefficients, gd.LogisticRegression, X, CLASSES),
    "L1": partial(coefficients, gd.LogisticRegression, X, LABELS, l1_ratio=1.0, alpha=1e-2),
    "network": partial(coefficients, gd.MLPClassifier, X, LABELS, hidden_layer_sizes=(16,), **FEW),
    "sparse": lambda: coefficients(gd.LogisticRegression, sparse(), LABELS),
    "stream": streamed,
    "minimize": valley,
    "GPT": writer,
}


@pytest.fixture(scope="module")
def alone():
    """What each fit gives with nothing beside it."""
    return {name: fit() for name, fit in FITS.items()}


@pytest.fixture(autouse=True)
def _budgets():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        yield


def tasks():
    """Threads of this process that the system knows, gdcore's and a BLAS's alike."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0


def test_all_kinds_of_fits_at_once_give_the_bits_that_they_give_alone(alone):
    """Eight threads, each fit several times, in another order each time."""
    again = [name for seed in range(times(2, 20)) for name in shuffled(seed)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: FITS[name](), again))
    for name, theta in zip(again, found, strict=True):
        np.testing.assert_array_equal(theta, alone[name])
    assert _blas.holders == 0
    count("concurrent fits with the bits of lone ones", len(again))


def shuffled(seed):
    return np.random.default_rng(seed).permutation(list(FITS)).tolist()


def test_one_model_may_be_asked_by_many_threads():
    models = [gd.LogisticRegression().fit(X, CLASSES), gd.LinearRegression().fit(X, TARGETS)]
    models += [gd.MLPClassifier(hidden_layer_sizes=(16,), random_state=0, **FEW).fit(X, CLASSES)]
    for model in models:
        want = model.predict(X)
        with ThreadPoolExecutor(8) as pool:
            for got in pool.map(lambda _, model=model: model.predict(X), range(16)):
                np.testing.assert_array_equal(got, want)
    count("concurrent predictions with the bits of lone ones", 48)


@pytest.mark.parametrize("name", FITS)
def test_no_thread_is_left_behind(name):
    """Neither after a fit, nor after one that failed; the BLAS keeps its own from its first use."""
    FITS[name]()
    before, known = threading.active_count(), tasks()
    FITS[name]()
    assert threading.active_count() == before
    until = time.monotonic() + 10  # the system takes a moment to forget a thread that has ended
    while tasks() > known and time.monotonic() < until:
        time.sleep(0.01)
    assert tasks() <= known


def test_no_thread_is_left_by_a_fit_that_fails():
    def fails(step):
        raise RuntimeError("enough")

    before = threading.active_count()
    for kind in (gd.LogisticRegression, gd.MLPClassifier):
        with pytest.raises(RuntimeError, match="enough"):
            kind(n_threads=2, callbacks=[fails], max_epochs=3).fit(X, LABELS)
    assert threading.active_count() == before
    assert _blas.holders == 0


def in_child(name, queue):
    warnings.simplefilter("ignore")
    queue.put((np.asarray(FITS[name]()), _blas.holders))


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", FITS)
def test_a_fork_after_use_fits_with_the_same_bits(alone, name):
    """And in the middle of another thread's fit, which the child has not."""
    context, going = multiprocessing.get_context("fork"), threading.Event()

    def beside():
        while not going.is_set():
            FITS["network"]()

    worker = threading.Thread(target=beside)
    worker.start()
    try:
        for _ in range(times(2, 25)):
            queue = context.SimpleQueue()
            child = context.Process(target=in_child, args=(name, queue))
            child.start()
            child.join(60)
            assert child.exitcode == 0
            theta, holders = queue.get()
            np.testing.assert_array_equal(theta, alone[name])
            assert holders == 0
            count("forks in the middle of a fit, whose children fitted")
    finally:
        going.set()
        worker.join()


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_joblibs_workers_give_the_same_numbers(backend):
    import joblib
    from sklearn.model_selection import GridSearchCV

    grid = {"alpha": [1e-4, 1e-2], "optimizer": ["newton", "lbfgs"]}
    scores = []
    for jobs in (1, 2):
        with joblib.parallel_config(backend=backend, n_jobs=jobs):
            search = GridSearchCV(gd.LogisticRegression(), grid, cv=2).fit(X[:2000], LABELS[:2000])
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*scores)
    count("fits in joblib's workers", 10)


def test_workers_of_joblib_are_told_how_many_cores_are_theirs():
    """So that n_jobs processes of n_threads threads each are no more than there are cores."""
    import joblib

    cores = joblib.cpu_count()
    with joblib.parallel_config(backend="loky", n_jobs=cores):
        told = joblib.Parallel()(joblib.delayed(available)() for _ in range(cores))
    assert set(told) == {1}


def test_the_environment_and_a_container_may_ask_for_fewer(monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = available()
    for text, number in (("1", 1), ("1,4", 1), ("0", cores), ("", cores), ("many", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert available() == number
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert available() == cores
    quota = tmp_path / "cpu.max"
    for text, number in (("150000 100000", 2), ("100000 100000", 1), ("max 100000", float("inf"))):
        quota.write_text(text)
        assert _quota(quota) == number
    assert _quota(tmp_path / "none") == float("inf")


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="asks for timers")
def test_ctrl_c_is_heard_in_every_long_call():
    """By a result that says so, or as KeyboardInterrupt; how soon is printed, not judged."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.trust.long_calls"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    assert len(lines) > 25
    assert {how for _, how, _ in lines} == {"result", "KeyboardInterrupt"}, run.stdout
    count("long calls that answered Ctrl-C", len(lines))


@pytest.mark.parametrize("when", [57, 58, 59, 60])  # a run's first look, its search, its last look
def test_restarts_end_together_and_keep_what_was_found(when):
    asked = []

    def bowl(x):
        asked.append(x)
        if len(asked) == when:
            raise KeyboardInterrupt
        return float(x @ x), 2 * x

    found = gd.minimize(bowl, np.full(3, 2.0), restarts=1000, random_state=0)
    assert found.status is gd.Status.INTERRUPTED
    assert not found.success
    assert len(found.restarts["fun"]) < 60
    assert found.fun == found.restarts["fun"].min()
    assert found.message.endswith(gd.Status.INTERRUPTED.value)


class StopInTheSecond(gd.callbacks.Callback):
    """Ctrl-C in the second of several runs."""

    def on_begin(self, plan):
        self.run = plan.run

    def on_epoch(self, moment):
        if self.run == 1:
            raise KeyboardInterrupt


def test_restarts_of_a_network_end_together():
    model = gd.MLPClassifier(
        hidden_layer_sizes=(4,), restarts=5, max_epochs=3, tol=0, random_state=0,
        callbacks=[StopInTheSecond()],
    ).fit(X[:500], LABELS[:500])  # fmt: skip
    assert model.result_.status is gd.Status.INTERRUPTED
    assert len(model.result_.restarts["fun"]) == 2


@POSIX
def test_a_child_forked_by_a_callback_may_go_on_with_the_fit():
    code = """
        import os, sys, warnings
        import numpy as np
        import gdcore as gd
        X = np.random.default_rng(0).normal(size=(9000, 20))
        y = (X[:, 0] > 0).astype(int)
        child = []
        def fork(step):
            if not child:
                child.append(os.fork())
        warnings.simplefilter("ignore")
        model = gd.MLPClassifier(hidden_layer_sizes=(8,), max_epochs=3, tol=0, random_state=0,
                                 n_threads=2, callbacks=[fork]).fit(X, y)
        if child[0] == 0:
            print(float(model.theta_.vector.sum()), flush=True)
            os._exit(0)
        assert os.waitpid(child[0], 0)[1] == 0
        print(float(model.theta_.vector.sum()))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    mine, theirs = run.stdout.split()
    assert mine == theirs


def test_the_list_of_long_calls_names_every_estimator(tmp_path):
    names = " ".join(long_calls.calls(tmp_path))
    for kind in ("LinearRegression", "LogisticRegression", "LinearClassifier", "MLPClassifier"):
        assert kind in names
    for kind in ("MLPRegressor", "GPT", "minimize", "check_gradient", "find_learning_rate"):
        assert kind in names


def test_a_free_threaded_python_stays_free():
    """A module that does not declare itself safe would bring the GIL back when it is imported."""
    code = (
        "import sys, gdcore; gdcore.backend(); "
        "print(getattr(sys, '_is_gil_enabled', lambda: True)())"
    )
    run = [sys.executable, "-c", code]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert said == f"{not free}\n"
