"""What is lost costs time, or is named; it never costs the result."""

import gc
import pickle
import threading

import numpy as np
import pytest

import gdcore as gd
from tests.distributed.conftest import kill, started, table, until

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
pytest.importorskip("distributed")

X, TARGETS = table(400)
Y = TARGETS["two"]
HOW = {"optimizer": "adam", "tol": 0, "max_epochs": 60, "fit_intercept": False}


def part(number, width=6):
    """Rows that a worker can always make again."""
    X, targets = table(400)
    rows = slice(100 * number, 100 * (number + 1))
    return X[rows, :width], targets["two"][rows]


def parts():
    return [dask.delayed(part)(number) for number in range(4)]


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize("fanout", [8, 1], ids=["flat", "tree"])
def test_a_killed_worker_costs_time_and_not_the_result(own, fanout, monkeypatch):
    from gdcore.distributed import cluster

    monkeypatch.setattr(cluster, "FANOUT", fanout)
    killed = []

    def strike(moment):
        if moment.step in (20, 40) and len(killed) < moment.step // 20:
            killed.append(moment.step)
            kill(own[1], number=len(killed) - 1)

    fit = gd.distributed.LogisticRegression(callbacks=strike, client=own[1], **HOW).fit(parts())
    here = gd.LogisticRegression(**HOW).fit(X, Y)
    assert killed == [20, 40]
    assert np.abs(fit.coef_ - here.coef_).max() <= 1e-10 * np.abs(here.coef_).max()


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_all_workers_killed_at_once_cost_no_more(own):
    """Dask would have the partitions wait for the workers that were to compute them."""
    struck = []

    def strike(moment):
        if moment.step == 20 and not struck:
            struck.append(kill(own[1], number=None))

    fit = gd.distributed.LogisticRegression(callbacks=strike, client=own[1], **HOW).fit(parts())
    here = gd.LogisticRegression(**HOW).fit(X, Y)
    assert struck
    assert np.abs(fit.coef_ - here.coef_).max() <= 1e-10 * np.abs(here.coef_).max()


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_a_killed_worker_costs_a_network_no_more(own):
    struck = []

    def strike(moment):
        if moment.epoch == 2 and not struck:
            struck.append(kill(own[1]))

    how = {"batch_size": 50, "max_epochs": 4, "dtype": "float64", "tol": 0, "random_state": 0}
    fit = gd.distributed.MLPClassifier(callbacks=strike, client=own[1], **how).fit(parts())
    here = gd.MLPClassifier(**how).fit(X, Y)
    assert struck
    assert np.abs(fit.theta_.vector - here.theta_.vector).max() <= 1e-10


def test_a_lost_scheduler_is_said_and_the_best_so_far_kept(own, monkeypatch):
    from gdcore.distributed import cluster

    monkeypatch.setattr(cluster, "PATIENCE", 3.0)
    closing = []

    def lose(moment):
        if moment.step == 20 and not closing:
            closing.append(threading.Thread(target=own[0].close))
            closing[0].start()

    model = gd.distributed.LogisticRegression(callbacks=lose, client=own[1], **HOW)
    with pytest.raises(gd.distributed.LostError, match="the best parameters so far") as caught:
        model.fit(parts())
    closing[0].join()
    result = caught.value.result
    assert result.status is gd.Status.LOST
    assert not result.success
    assert result.nit >= 20
    assert result.fun == min(result.trace.cost)
    assert model.result_ is result
    assert np.isfinite(model.coef_).all()
    assert model.coef_.any()


def test_rows_that_nobody_can_make_again_are_named(own):
    client = own[1]
    workers = sorted(client.scheduler_info()["workers"])
    futures = [
        client.scatter([(X[a::2], Y[a::2])], workers=[address])[0]
        for a, address in enumerate(workers)
    ]
    struck = []

    def strike(moment):
        if moment.step == 5 and not struck:
            struck.append(kill(client))

    model = gd.distributed.LogisticRegression(callbacks=strike, client=client, **HOW)
    with pytest.raises(gd.distributed.LostError, match=r"Partition \d is gone .*scattered"):
        model.fit(futures)
    assert np.isfinite(model.coef_).all()


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_a_checkpoint_goes_on_on_a_cluster_of_another_size(own, tmp_path):
    """And on the one that it comes from, to nearly the same bits."""
    keep = gd.callbacks.Checkpoint(tmp_path / "fit.npz", resume=True)
    short = {**HOW, "max_epochs": 20}
    gd.distributed.LogisticRegression(callbacks=keep, client=own[1], **short).fit(parts())
    own[0].scale(1)
    until(lambda: len(own[1].scheduler_info()["workers"]) == 1)
    again = gd.callbacks.Checkpoint(tmp_path / "fit.npz", resume=True)
    went = gd.distributed.LogisticRegression(callbacks=again, client=own[1], **HOW).fit(parts())
    whole = gd.LogisticRegression(**HOW).fit(X, Y)
    assert len(went.trace_) == len(whole.trace_)
    assert np.abs(went.coef_ - whole.coef_).max() <= 1e-10 * np.abs(whole.coef_).max()


def spoiled(change):
    def make():
        X, y = part(2)
        return change(X.copy(), y)

    return [*parts()[:2], dask.delayed(make)()]


def with_nan(X, y):
    X[7, 3] = np.nan
    return X, y


BAD = [
    (with_nan, "X of partition 2 contains NaN, first at row 7, column 3"),
    (lambda X, y: (X[:, :5], y), "X of partition 2 has 5 features, and partition 0 has 6"),
    (lambda X, y: (X, y[:-1]), "X has 100 rows and y of partition 2 has 99"),
    (lambda X, y: (X, y, -np.ones(100)), "weights of partition 2 are negative at row 0"),
    (lambda X, y: X, r"Partition 2 is ndarray, not \(X, y\)"),
    (lambda X, y: (np.full(X.shape, "red"), y), "X of partition 2 holds text"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD, ids=[text for _, text in BAD])
def test_a_bad_partition_is_named(client, change, sentence):
    model = gd.distributed.LogisticRegression()
    with pytest.raises((ValueError, TypeError), match=sentence):
        model.fit(spoiled(change))
    assert not hasattr(model, "coef_")


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_empty_partitions_change_nothing(client):
    def nothing():
        X, y = part(0)
        return X[:0], y[:0]

    empty = dask.delayed(nothing)()
    fit = gd.distributed.LogisticRegression(**HOW).fit([empty, *parts(), empty])
    here = gd.LogisticRegression(**HOW).fit(X, Y)
    assert np.abs(fit.coef_ - here.coef_).max() <= 1e-10
    assert len(fit.predict(da.from_array(X, chunks=(400, -1))).compute()) == 400
    with pytest.raises(ValueError, match="No partition has a row"):
        gd.distributed.LogisticRegression().fit([empty])


WRONG = [
    ((X, Y), "X is a numpy.ndarray, which is here"),
    (([], None), "X is an empty list"),
    (([3], None), "Item 0 of X is int"),
    ((da.ones((4, 2)), None), "fit requires y"),
    ((da.ones((4, 2)), np.ones(3)), "does not go with X's partitions"),
    ((da.ones(4), da.ones(4)), "X has shape"),
]


@pytest.mark.parametrize(("given", "sentence"), WRONG, ids=[text for _, text in WRONG])
def test_what_is_no_collection_is_refused(client, given, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        gd.distributed.LogisticRegression().fit(*given)


def test_parameters_and_clients_are_looked_at(client):
    X, y = da.ones((4, 2), chunks=2), da.arange(4, chunks=2) % 2
    with pytest.raises(ValueError, match="local_steps must be a whole number"):
        gd.distributed.LogisticRegression(local_steps=0, batch_size=2).fit(X, y)
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
        gd.distributed.LogisticRegression(client="there").fit(X, y)
    with pytest.raises(ValueError, match="n_threads must be a whole number"):
        gd.distributed.MLPClassifier(n_threads=0).fit(X, y)
    with pytest.raises(ValueError, match="visits single rows"):
        gd.distributed.LogisticRegression(optimizer="saga").fit(X, y)
    with pytest.raises(ValueError, match=r"2 classes|one class"):
        gd.distributed.LogisticRegression().fit(X, y * 0)
    with pytest.raises(gd.NotFittedError):
        gd.distributed.LogisticRegression().predict(X)


def test_estimators_are_cloned_and_pickled_without_their_connection(client):
    clone = pytest.importorskip("sklearn.base").clone
    model = gd.distributed.LinearRegression(alpha=0.5, client=client)
    assert clone(model).client is client
    assert clone(model).alpha == 0.5
    model.fit(da.ones((4, 2), chunks=2), da.arange(4, chunks=2))
    other = pickle.loads(pickle.dumps(model))
    assert other.client is None
    np.testing.assert_array_equal(other.coef_, model.coef_)


def test_nothing_is_left_on_the_workers():
    """Neither partitions nor actors, after fits that ended well and others."""
    from distributed import Client

    with started() as cluster, Client(cluster, set_as_default=False) as client:
        gd.distributed.LogisticRegression(client=client).fit(parts())
        with pytest.raises(ValueError, match="partition 2"):
            gd.distributed.LogisticRegression(client=client).fit(spoiled(with_nan))
        until(lambda: gc.collect() >= 0 and sum(client.run(held).values()) == 0)


def test_who_goes_without_a_word_leaves_no_threads_and_a_free_blas(own, monkeypatch):
    from gdcore.distributed.cluster import Cluster

    async def silent(self):
        pass

    model = gd.distributed.LogisticRegression(client=own[1], n_threads=2).fit(parts())
    monkeypatch.setattr(Cluster, "_closed", silent)
    again = gd.distributed.LogisticRegression(client=own[1], n_threads=2).fit(parts())
    np.testing.assert_array_equal(again.coef_, model.coef_)
    until(lambda: not any(own[1].run(held).values()))
    until(lambda: not any(own[1].run(busy).values()))


def held(dask_worker):
    """Partitions and actors of a worker."""
    return len(dask_worker.data) + len(dask_worker.state.actors)


def busy():
    """Threads of gdcore in this process, and who has its BLAS held to one."""
    from gdcore.threads import _blas

    gc.collect()
    return sum("gdcore" in each.name for each in threading.enumerate()) + _blas.holders
