"""Who has which partitions depends on their numbers alone, and so do the bits of sums."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.distributed.placement import UNEVEN, by_holder, by_number
from tests.distributed.conftest import started, table

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
pytest.importorskip("distributed")

ONE_EACH = {"a": 1, "b": 1, "c": 1}


def test_runs_of_partitions_go_to_workers_by_their_threads():
    assert by_number([1] * 6, ONE_EACH) == ["a", "a", "b", "b", "c", "c"]
    assert by_number([1] * 6, {"b": 1, "a": 2}) == ["a"] * 4 + ["b"] * 2
    assert by_number([9, 1, 1, 1], {"a": 1, "b": 1}) == ["a", "b", "b", "b"]
    assert by_number([0, 0], {"a": 1, "b": 1}) == ["a", "b"]
    assert by_number([5], ONE_EACH) == ["b"]


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_whole_and_as_even_as_partitions_allow(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 100, rng.integers(1, 40)).tolist()
    threads = {f"w{number}": int(rng.integers(1, 5)) for number in range(rng.integers(1, 9))}
    places = by_number(rows, threads)
    order = [sorted(threads).index(place) for place in places]
    assert order == sorted(order)
    sizes = np.maximum(rows, 1)
    for address, count in threads.items():
        own = sizes[[place == address for place in places]].sum()
        share = sizes.sum() * count / sum(threads.values())
        assert abs(own - share) <= sizes.max()


@pytest.mark.parametrize("seed", range(20))
def test_what_lies_somewhere_stays_unless_somebody_has_too_much(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 5, 30).tolist()
    holders = [[rng.choice(list(ONE_EACH))] for _ in rows]
    load = {a: sum(n for n, h in zip(rows, holders, strict=True) if h == [a]) for a in ONE_EACH}
    places = by_holder(rows, ONE_EACH, holders)
    if max(load.values()) <= UNEVEN * sum(rows) / 3:
        assert places == [each for (each,) in holders]
    for address in ONE_EACH:
        own = sum(n for n, place in zip(rows, places, strict=True) if place == address)
        assert own <= UNEVEN * sum(rows) / 3 + max(rows)
    assert by_holder([1, 1], ONE_EACH, [["gone"], []]) == ["a", "b"]


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize("how", [
    {"optimizer": "adgd"}, {"batch_size": 50, "local_steps": 3, "random_state": 0},
], ids=str)  # fmt: skip
def test_two_clusters_of_one_size_give_the_same_bits(client, how):
    from distributed import Client

    X, targets = table(700)

    def fit(client):
        model = gd.distributed.LogisticRegression(max_epochs=10, tol=0, client=client, **how)
        return model.fit(
            da.from_array(X, chunks=(100, -1)), da.from_array(targets["two"], chunks=100)
        )

    first = fit(client)
    np.testing.assert_array_equal(fit(client).coef_, first.coef_)
    with started() as cluster, Client(cluster, set_as_default=False) as other:
        np.testing.assert_array_equal(fit(other).coef_, first.coef_)


def test_what_lies_on_workers_has_no_other_home(client):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    X, targets = table(800)
    y = da.from_array(targets["numbers"], chunks=100)
    frame = dd.from_pandas(pd.DataFrame(X).assign(y=targets["numbers"]), npartitions=8)
    X = da.from_array(X, chunks=(100, -1))
    held, frames = client.persist(X), client.persist(frame)
    future = client.scatter([(np.eye(6), np.ones(6))])[0]
    for given, homes in [
        ((X, y), 8), ((held, y), 0), ((2 * held, y), 0), ((X, client.persist(y)), 0),
        ((frame[[0, 1]], frame.y), 8), ((frames[[0, 1]], frames.y), 0),
        (([dask.delayed((np.eye(6), np.ones(6)))],), 1), (([future],), 0),
        (([dask.delayed(tuple)(future)],), 0),
    ]:  # fmt: skip
        with gd.distributed.DaskRows(*given, client=client) as rows:
            assert len(rows.cluster.parts.homes) == homes
