"""Scores on a cluster are those of the estimator without one, and refuse what that refuses."""

import copy
import warnings

import numpy as np
import pytest

import gdcore as gd
from tests.distributed.conftest import table

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
pytest.importorskip("distributed")

X, TARGETS = table()
CHUNKS = (200, 13, 150, 237)
NUMBERS, CLASSES = TARGETS["numbers"], TARGETS["two"]
WEIGHTS = np.random.default_rng(0).random(len(X))


def cut(a):
    return da.from_array(a, chunks=(CHUNKS, *(-1,) * (a.ndim - 1)))


def unknown(a):
    """The same, whose chunks have sizes that nobody knows."""
    return cut(a)[cut(np.ones(len(a), bool))]


dX = cut(X)


@pytest.fixture
def models(client):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        return (gd.distributed.LinearRegression().fit(dX, cut(NUMBERS)),
                gd.distributed.LogisticRegression().fit(dX, cut(CLASSES)))  # fmt: skip


def test_they_are_those_of_the_estimator_without_a_cluster(models):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    for model, y in zip(models, (NUMBERS, CLASSES), strict=True):
        alone = model.to_local()
        for weights in (None, WEIGHTS):
            s = None if weights is None else cut(weights)
            expected = pytest.approx(alone.score(X, y, weights), rel=1e-12)
            assert model.score(dX, cut(y), s) == expected
            assert model.score(dX, y, weights) == expected
            assert model.score(X, cut(y), s) == expected
        expected = pytest.approx(alone.score(X, y), rel=1e-12)
        assert model.score(unknown(X), unknown(y)) == expected
        empty = da.concatenate([dX[:0], dX]), da.concatenate([cut(y)[:0], cut(y)])
        assert model.score(*empty) == expected
        frame = dd.from_pandas(
            pd.DataFrame(X, columns=list("abcdefgh"[: X.shape[1]])), npartitions=3
        )
        assert model.score(frame, dd.from_pandas(pd.Series(y), npartitions=3)) == expected
    far = 1e9 + NUMBERS  # one pass over them loses no digits
    moved = gd.distributed.LinearRegression().fit(dX, cut(far))
    assert moved.score(dX, cut(far)) == pytest.approx(moved.to_local().score(X, far), rel=1e-6)


@pytest.mark.parametrize(("y", "weights", "message"), [
    (NUMBERS[:1], None, "y is .* does not go with X's partitions"),
    (cut(NUMBERS)[1:], None, "X has 600 rows and y has 599"),
    (None, None, "requires y"), ("abc", None, "does not go with X's partitions"),
    (cut(np.where(NUMBERS > 2, np.nan, NUMBERS)), None, r"y of partition \d contains NaN"),
    (cut(NUMBERS + 1j), None, "complex"),
    (cut(NUMBERS), 2.0, "sample_weight is .* does not go with X's partitions"),
    (cut(NUMBERS), cut(-WEIGHTS), r"weights of partition \d are negative"),
    (cut(NUMBERS), cut(0 * WEIGHTS), "No row of the partitions has a weight"),
    (cut(NUMBERS), cut(WEIGHTS[:, None]), r"weights of partition \d have shape"),
    (cut(np.column_stack([NUMBERS] * 2)), None, "y of partition . has 2 columns, and the model"),
])  # fmt: skip
def test_what_cannot_be_scored_is_refused_in_a_sentence(models, y, weights, message):
    with pytest.raises((ValueError, TypeError), match=message):
        models[0].score(dX, y, weights)


@pytest.mark.parametrize("labels", [
    np.array(["2020-01-01", "2021-01-01"], "M8[ns]"), np.array(["2020-01", "2021-01"], "M8[D]"),
    np.array([1, 2], "m8[ns]"), np.array([3, 7], np.uint8), np.array([3, 7], np.float32),
    np.array(["no", "yes"]), np.array([False, True]),
], ids=lambda each: str(each.dtype))  # fmt: skip
def test_classes_keep_their_type(client, labels):
    y = labels[(TARGETS["two"] == TARGETS["two"][0]).astype(int)]
    here = gd.LogisticRegression().fit(X, y)
    there = gd.distributed.LogisticRegression().fit(dX, cut(y))
    assert there.classes_.dtype == here.classes_.dtype
    np.testing.assert_array_equal(there.classes_, here.classes_)
    np.testing.assert_array_equal(there.predict(dX).compute(), here.predict(X))
    assert there.score(dX, cut(y)) == here.score(X, y)


def test_rows_without_any_weight_are_refused(client):
    for kind in ("LogisticRegression", "MLPClassifier"):
        with pytest.raises(ValueError, match="No row of the partitions has a weight"):
            getattr(gd.distributed, kind)().fit(dX, cut(CLASSES), cut(0 * WEIGHTS))


def test_what_is_no_table_is_refused_in_a_sentence(models):
    linear = gd.distributed.LinearRegression()
    for X_, y in ((dask.delayed((X, NUMBERS)), None), (dX, da.from_array(np.array(1.0)))):
        with pytest.raises((TypeError, ValueError), match=r"\. Pass a"):
            linear.fit(X_, y)
    for X_ in (dX[:, 0], dX[:, :, None], dask.delayed(X)):
        with pytest.raises(ValueError, match="not a collection with two dimensions"):
            models[1].predict_proba(X_)
    with pytest.raises(ValueError, match=r"X of partition \d holds text"):
        linear.fit(cut(X.astype(str)), cut(NUMBERS))


def test_copies_keep_the_client_and_closed_ones_are_refused(client):
    from distributed import Client

    model = gd.distributed.LinearRegression(client=client)
    for other in (copy.copy(model), copy.deepcopy(model)):
        assert other.client is client
        assert other.alpha == model.alpha
    with Client(client.scheduler.address, set_as_default=False) as closed:
        pass
    with pytest.raises(ValueError, match="client is closed"):
        gd.distributed.LinearRegression(client=closed).fit(dX, cut(NUMBERS))
