"""The result does not depend on the number of threads, to the bit."""

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import gdcore as gd
from gdcore.threads import available, resolve


@pytest.fixture(scope="module")
def large():
    """Rows enough for several shards."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 20))
    return X, (X @ rng.normal(size=20) + rng.normal(size=len(X)) > 0).astype(int)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_1_2_and_4_threads(large, dtype):
    X, y = large[0].astype(dtype), large[1]
    fits = [gd.LogisticRegression(n_threads=n, tol=1e-4).fit(X, y) for n in (1, 2, 4)]
    for other in fits[1:]:
        np.testing.assert_array_equal(fits[0].coef_, other.coef_)
        np.testing.assert_array_equal(fits[0].intercept_, other.intercept_)
        np.testing.assert_array_equal(fits[0].trace_.cost, other.trace_.cost)


def test_several_shards_are_really_cut(large):
    from gdcore.data import Rows

    rows = Rows(large[0], large[1].astype(float), np.ones(len(large[0])))
    shards = rows.shards()
    assert len(shards) > 4
    np.testing.assert_array_equal(np.concatenate([s.X for s in shards]), rows.X)
    assert all(np.shares_memory(shard.X, rows.X) for shard in shards)


def test_softmax_over_threads(large):
    X, rng = large[0], np.random.default_rng(1)
    y = (X @ rng.normal(size=(20, 4))).argmax(axis=1)
    fits = [
        gd.LogisticRegression(n_threads=n, max_epochs=10, tol=0).fit(X, y).coef_ for n in (1, 2, 4)
    ]
    np.testing.assert_array_equal(fits[0], fits[1])
    np.testing.assert_array_equal(fits[0], fits[2])


def test_no_thread_is_left_behind(large):
    before = threading.active_count()
    gd.LogisticRegression(n_threads=4, tol=1e-2).fit(*large)
    assert threading.active_count() == before


def test_many_fits_at_once(large):
    from concurrent.futures import ThreadPoolExecutor

    X, y = large[0][:4000], large[1][:4000]
    alone = gd.LogisticRegression().fit(X, y).coef_
    with ThreadPoolExecutor(4) as pool:
        fits = list(pool.map(lambda _: gd.LogisticRegression().fit(X, y).coef_, range(8)))
    for coef in fits:
        np.testing.assert_array_equal(coef, alone)


def test_the_number_of_threads():
    assert resolve(None) == available() >= 1
    assert resolve(3) == 3
    for bad in (0, -1, 1.5, "two"):
        with pytest.raises((ValueError, TypeError), match="n_threads must be"):
            resolve(bad)


def test_a_helper_that_fails_is_heard_and_the_others_have_ended():
    from gdcore.threads import Threads

    done = []

    def work(number):
        if number == 3:
            raise KeyError(number)
        done.append(number)

    with Threads(3, products=True) as threads:
        for _ in range(20):
            with pytest.raises(KeyError):
                threads.map(work, list(range(50)))
        count = len(done)
        assert threads.map(lambda x: x * x, [1, 2, 3, 4, 5]) == [1, 4, 9, 16, 25]
        assert len(done) == count


@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_an_item_may_itself_ask_for_help(n_threads):
    """Both threads wait for help at once, and no third is there to give it."""
    from gdcore.threads import Threads

    found, both = [], threading.Barrier(2)

    def outer(number):
        both.wait(10)
        return sum(threads.map(lambda x: x * x, range(number, number + 2)))

    def work():
        with threads:
            found.append([threads.map(outer, [0, 1]) for _ in range(50)])

    threads = Threads(n_threads, products=True)
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(60)
    assert found == [[[1, 5]] * 50]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="asks for timers")
def test_ctrl_c_at_any_moment_ends_the_work_and_hangs_nobody():
    """In a process of its own: the signal is the main thread's."""
    code = """if True:
        import signal, random, time
        from gdcore.threads import Threads
        def work(number):
            time.sleep(0.0004)
        random.seed(0)
        heard = 0
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        with Threads(2, products=True) as threads:
            for _ in range(1500):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-4 + random.random() * 1e-3)
                    threads.map(work, [0, 1])
                    time.sleep(0.01)
                except KeyboardInterrupt:
                    heard += 1
        print(heard)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert int(done.stdout) == 1500, done.stderr


def test_blas_is_held_until_the_last_fit_ends():
    from threadpoolctl import threadpool_info

    from gdcore.threads import Threads

    def most():  # of NumPy's own: others may have been loaded since, and are not called
        return max(
            pool["num_threads"]
            for pool in threadpool_info()
            if pool["user_api"] == "blas" and "scipy.libs" not in pool["filepath"]
        )

    before = most()
    one, other = Threads(2, products=True), Threads(2, products=True)
    with one:
        assert most() == 1
        other.__enter__()
    assert most() == 1
    other.__exit__()
    assert most() == before


def test_networks_fit_at_once_give_the_bits_that_they_give_alone():
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 40)).astype(np.float32), rng.integers(0, 3, 600)

    def fit(_=None):
        model = gd.MLPClassifier(
            hidden_layer_sizes=(300, 300), batch_size=600, max_epochs=3, tol=0, dtype="float32",
            n_threads=2, random_state=0,
        )  # fmt: skip
        return model.fit(X, y).theta_.vector.tobytes()

    alone = fit()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(fit, range(8))) == {alone}
