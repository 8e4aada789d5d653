"""What a first reading of gd.distributed found wrong, and corners like it."""

import warnings

import numpy as np
import pytest

import gdcore as gd
from tests.distributed.conftest import table

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

X, TARGETS = table(300)
dX = da.from_array(X, chunks=(100, -1))


def chunked(y):
    return da.from_array(y, chunks=100)


def test_workers_of_one_process_have_each_their_own_parameters():
    """What goes out is pickled: else both would move one θ. A partition for each worker, since
    local steps depend on who has which rows."""
    found, halves = [], da.from_array(X, chunks=(150, -1))
    y = da.from_array(TARGETS["two"], chunks=150)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster, distributed.Client(cluster, set_as_default=False) as client:  # fmt: skip
        for _ in range(2):
            model = gd.distributed.LogisticRegression(
                batch_size=50, max_epochs=3, local_steps=3, random_state=0, client=client, tol=0
            ).fit(halves, y)
            found.append(model.coef_)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_two_costs_of_the_same_rows_do_not_disturb_each_other(client):
    from gdcore.models.family import LinearFamily

    nothing = gd.penalties.Penalty(np.zeros(7), np.zeros(7))
    theta, g = np.linspace(-1, 1, 7) / 10, np.empty(7)
    with gd.distributed.DaskRows(dX, chunked(TARGETS["counts"])) as rows:
        squared = gd.distributed.DaskCost(LinearFamily(gd.losses.Squared(), 6), rows, nothing)
        first = squared.value_and_gradient(theta, g)
        poisson = gd.distributed.DaskCost(LinearFamily(gd.losses.Poisson(), 6), rows, nothing)
        other = poisson.value_and_gradient(theta, g)
        assert squared.value_and_gradient(theta, g) == first != other
        assert poisson.value_and_gradient(theta, g) == other


def test_frames_may_have_empty_partitions_and_strings(client):
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    names = [f"x{j}" for j in range(6)]
    frame = pd.DataFrame(X, columns=names).assign(y=TARGETS["two"], k=np.arange(300))
    lazy = dd.from_pandas(frame, npartitions=3)
    some = lazy[lazy.k > 150]
    model = gd.distributed.LogisticRegression().fit(some[names], some["y"])
    here = gd.LogisticRegression().fit(X[151:], TARGETS["two"][151:])
    np.testing.assert_allclose(model.coef_, here.coef_, rtol=1e-9)
    shares = model.predict_proba(some[names])
    assert shares.shape[1] == 2
    np.testing.assert_allclose(shares[:, 1].compute(), here.predict_proba(X[151:])[:, 1], rtol=1e-6)


def test_labels_are_looked_at_as_on_one_machine(client):
    with pytest.raises(ValueError, match="continuous"):
        gd.distributed.LogisticRegression().fit(dX, chunked(TARGETS["numbers"]))
    with pytest.raises(ValueError, match="zero"):
        gd.distributed.LinearRegression(loss="poisson").fit(dX, chunked(np.zeros(300)))
    parts = [
        dask.delayed((X[:100], np.array(["a", "b"] * 50))),
        dask.delayed((X[100:], np.arange(200) % 2)),
    ]
    with pytest.raises(TypeError, match="mixes strings and numbers"):
        gd.distributed.LogisticRegression().fit(parts)


def test_scores_are_computed_by_the_estimators_client(own):
    client = own[1]  # which is not the default one
    held = client.persist(dX)
    model = gd.distributed.LinearRegression(client=client).fit(held, chunked(TARGETS["numbers"]))
    here = gd.LinearRegression().fit(X, TARGETS["numbers"]).score(X, TARGETS["numbers"])
    assert model.score(held, chunked(TARGETS["numbers"])) == pytest.approx(here)
    weights = np.arange(300.0)
    weighed = model.score(held, chunked(TARGETS["numbers"]), chunked(weights))
    local = model.to_local().score(X, TARGETS["numbers"], weights)
    assert weighed == pytest.approx(local)


def test_partitions_of_two_precisions_are_taken_in_the_wider(client):
    parts = [
        dask.delayed((X[:150].astype(np.float32), TARGETS["numbers"][:150])),
        dask.delayed((X[150:], TARGETS["numbers"][150:])),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        for order in (parts, parts[::-1]):
            assert gd.distributed.LinearRegression().fit(order).coef_.dtype == np.float64
    with pytest.raises(TypeError, match="list of partitions"):
        gd.distributed.LinearRegression().fit(parts).predict(parts)


def test_local_steps_refuse_who_listens_to_each_step(client):
    class Steps(gd.callbacks.Callback):
        def on_step(self, moment):
            return False

    model = gd.distributed.LogisticRegression(batch_size=50, local_steps=5, callbacks=Steps())
    with pytest.raises(ValueError, match="local_steps takes no callbacks with on_step"):
        model.fit(dX, chunked(TARGETS["two"]))


def test_many_targets_do_not_travel():
    """A tally notes a thousand different targets, and that there are more."""
    from gdcore.data import Rows
    from gdcore.survey import MOST_LABELS, Tally

    tally = Tally()
    tally.add(Rows(np.ones((5000, 1)), np.arange(5000.0), np.ones(5000)))
    tally += tally
    assert len(tally.labels) == MOST_LABELS + 1
    assert tally.survey().y.shape == (2,)
    assert tally.survey().y.mean() == pytest.approx(2499.5)


def test_without_dask_the_cure_is_named(monkeypatch):
    import builtins

    real = builtins.__import__

    def missing(name, *rest, **more):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'gdcore\[dask\]'"):
        gd.distributed.LinearRegression().fit(dX, chunked(TARGETS["numbers"]))


def test_what_a_cluster_cannot_take_is_told_in_its_words(client, tmp_path):
    given = client.submit(lambda: (X, TARGETS["numbers"]), pure=False)
    given.cancel()
    with pytest.raises(ValueError, match="Item 0 of X is a future that was cancelled"):
        gd.distributed.LinearRegression().fit([given])
    y = chunked(TARGETS["numbers"])
    none_left = gd.distributed.LinearRegression(early_stopping=True, validation_fraction=1 - 1e-9)
    with pytest.raises(ValueError, match="rows to train on, and holds out all 300 rows"):
        none_left.fit(dX, y)
    model = gd.distributed.LinearRegression().fit(dX, y)
    with pytest.raises(TypeError, match=r"a model of a cluster. Pass its to_local\(\)"):
        gd.save(model, tmp_path / "model.npz")
    gd.save(model.to_local(), tmp_path / "model.npz")
    with gd.distributed.DaskRows(dX, y) as rows:
        pass
    with pytest.raises(ValueError, match="let go as their context ended"):
        rows.labels()


def test_a_cluster_without_a_worker_says_so(monkeypatch):
    from threading import Timer

    from gdcore.distributed import parts

    monkeypatch.setattr(parts, "SOON", 1)
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address=":0"
    ) as cluster, distributed.Client(cluster, set_as_default=False) as client:  # fmt: skip
        timer = Timer(3, lambda: cluster.scale(1))
        timer.start()
        with pytest.warns(UserWarning, match="has had no worker for 1 s"):
            model = gd.distributed.LinearRegression(client=client).fit(
                dX, chunked(TARGETS["numbers"])
            )
        timer.join()
    np.testing.assert_allclose(
        model.coef_, gd.LinearRegression().fit(X, TARGETS["numbers"]).coef_, rtol=1e-10
    )
