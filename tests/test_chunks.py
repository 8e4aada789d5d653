"""Chunks of rows: readers, the check, the shuffle."""

import sys

import numpy as np
import pytest

import gdcore as gd
from gdcore import chunks


def table(n=100, p=3, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, p))
    return X, np.arange(float(n))


def whole(source):
    """All of a pass in one: X, y and weights."""
    X, y, weights = zip(*chunks.checked(source), strict=True)
    X = [part.dense() if isinstance(part, gd.CSR) else part for part in X]
    return np.concatenate(X), np.concatenate(y), np.concatenate(weights)


def same(source, X, y, weights=None):
    weights = np.ones(len(y)) if weights is None else weights
    for _ in range(2):
        for mine, theirs in zip(whole(source), (X, y, weights), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("rows", [1, 7, 50, 100, 1000, None])
def test_arrays(rows):
    X, y = table()
    made = chunks.arrays(X, y, rows=rows)
    same(made, X, y)
    same(chunks.arrays(X, y, y + 1, rows=rows), X, y, y + 1)
    sizes = [len(part) for _, part in made]
    assert sizes[:-1] == [rows] * (len(sizes) - 1)
    assert (made.n_rows, made.n_features, made.feature_names) == (100, 3, None)
    assert "100 rows" in repr(made)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_files_of_arrays(tmp_path, order, dtype):
    X, y = table()
    X = (10 * X).astype(dtype, order=order)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    same(chunks.arrays(tmp_path / "X.npy", str(tmp_path / "y.npy"), rows=30), X, y)
    same(chunks.arrays(np.load(tmp_path / "X.npy", mmap_mode="r"), y, rows=30), X, y)


def test_a_map_that_was_written_to_keeps_what_was_written(tmp_path):
    X, y = table()
    np.save(tmp_path / "X.npy", X)
    for mode in ("c", "r+"):
        mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
        mapped[50] = 7
        same(chunks.arrays(mapped, y, rows=10), mapped.copy(), y)
        assert (mapped[50] == 7).all()


def mapped_memory():
    """Bytes of files in this process's memory."""
    with open("/proc/self/status") as file:
        found = [line for line in file if line.startswith("RssFile")]
    return 1024 * int(found[0].split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux")
def test_what_is_read_of_a_map_does_not_stay_resident(tmp_path):
    path, n = tmp_path / "X.npy", 3_000_000  # 240 MB of zeros, which take no room on the disk
    np.save(path, np.zeros((1, 10)))
    with open(path, "r+b") as file:
        np.lib.format.write_array_header_1_0(
            file, {"shape": (n, 10), "fortran_order": False, "descr": "<f8"}
        )
        file.truncate(file.tell() + n * 80)
    for X in (path, np.load(path, mmap_mode="r")):
        before, most, count = mapped_memory(), 0, 0
        for part, _ in chunks.arrays(X, np.zeros(n)):
            count += int(part.sum()) + len(part)
            most = max(most, mapped_memory() - before)
        assert count == n
        assert most < 40e6


def test_sparse_arrays():
    scipy = pytest.importorskip("scipy.sparse")
    X, y = table()
    X = X.round(0)
    same(chunks.arrays(scipy.coo_array(X), y, rows=30), X, y)


def test_files_that_are_none(tmp_path):
    X, y = table()
    np.save(tmp_path / "objects.npy", np.array([{}, 1]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", X=X)
    np.save(tmp_path / "cut.npy", X)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-9])
    (tmp_path / "text.npy").write_text("a,b\n1,2\n")
    for name in ("objects.npy", "several.npz", "cut.npy", "text.npy"):
        with pytest.raises(ValueError, match=r"npy file"):
            chunks.arrays(tmp_path / name, y)
    with pytest.raises(FileNotFoundError):
        chunks.arrays(tmp_path / "none.npy", y)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1.0]], [1, 2]), "X has 1 rows and y has shape"),
        (([[1.0]], 1), "X has 1 rows and y has shape"),
        (([[1.0]], None), "y is None"),
        (([[1.0]], [1], [1, 2]), "X has 1 rows and weights"),
        (([1.0], [1]), "two dimensions"),
        ((np.empty((0, 2)), []), "at least one row"),
    ],
)
def test_arrays_that_do_not_fit(arguments, words):
    with pytest.raises(ValueError, match=words):
        chunks.arrays(*arguments)
    for rows in (0, -1, 1.5, True):
        with pytest.raises((ValueError, TypeError), match="rows must be"):
            chunks.arrays([[1.0]], [1], rows=rows)


class Again:
    """A source whose passes give what `passes` says."""

    def __init__(self, *passes):
        self.passes, self.count = passes, -1

    def __iter__(self):
        self.count += 1
        return iter(self.passes[min(self.count, len(self.passes) - 1)])


GOOD = ([[1.0, 2.0]], [1])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([GOOD, ([[1.0, np.nan]], [1])], "X of chunk 1 contains NaN, first at row 0, column 1"),
        ([GOOD, ([[1.0, 2.0]], [np.nan])], "y of chunk 1 contains NaN, first at row 0"),
        ([GOOD, GOOD, ([[1.0]], [1])], "X of chunk 2 has 1 features, and others have 2"),
        ([GOOD, ([[1.0, 2.0], [3.0]], [1, 2])], "X of chunk 1 is ragged"),
        ([GOOD, ([[1.0, 2.0]], [1, 2])], "X has 1 rows and y of chunk 1 has 2"),
        ([([[1.0]], [1], [-1.0])], "weights of chunk 0 are negative at row 0"),
        ([([[1.0]], [1], [1.0, 2.0])], "weights of chunk 0 have shape"),
        ([([[1.0]], [1], [np.inf])], "weights of chunk 0 contains infinity"),
        ([([["a"]], [1])], "X of chunk 0 holds text"),
        ([GOOD, (gd.CSR([1.0], [1], [0, 1], (1, 2)), [1])], "chunk 1 is sparse, and others are d"),
        ([], "gave no chunk"),
        ([np.eye(2)], "gave ndarray for chunk 0"),
        ((np.eye(2), np.ones(2)), "gave ndarray for chunk 0"),
        ([([[1.0]],)], "gave tuple for chunk 0"),
    ],
)  # fmt: skip
def test_chunks_that_do_not_fit_are_named(given, words):
    with pytest.raises((ValueError, TypeError), match=words):
        list(chunks.checked(given))


def test_a_zero_weight_chunk_is_a_chunk():
    assert whole([([[1.0]], ["a"], [0]), ([[1.0]], ["b"], [1])])[2].tolist() == [0, 1]


def test_what_gives_its_rows_but_once_is_refused_with_the_cure():
    def generator():
        yield GOOD

    for once in (generator(), iter([GOOD]), zip([[[1.0]]], [[1]], strict=True), map(str, "ab")):
        with pytest.raises(TypeError, match=r"only once; .* Pass the function that makes it"):
            chunks.checked(once)
    for none in (None, 3, "file.csv", {"X": 1}):
        with pytest.raises(TypeError, match=r"again and again, got .* Pass gd.chunks.arrays"):
            chunks.checked(none)
    same(generator, *GOOD)


def test_what_gives_other_rows_in_the_next_pass():
    made = chunks.checked(Again([GOOD, GOOD], [GOOD]))
    assert len(list(made)) == 2
    with pytest.raises(ValueError, match="gave 1 rows, and 2 in another pass"):
        list(made)
    made = chunks.checked(Again([GOOD], []))
    assert len(list(made)) == 1
    with pytest.raises(ValueError, match="gave no chunk"):
        list(made)


def test_what_is_known_before_and_after_a_pass():
    made = chunks.checked([GOOD, GOOD], "train")
    assert (made.n_rows, made.n_features, made.feature_names, made.pieces) == (None,) * 4
    list(made)
    assert (made.n_rows, made.n_features) == (2, 2)
    assert chunks.checked(made) is made


def test_a_shuffled_pass_holds_the_same_rows_and_its_seed_fixes_it():
    X, y = table()
    made = chunks.shuffled(chunks.arrays(X, y, y + 1, rows=7), buffer=3, seed=5)
    first, second = whole(made), whole(made)
    for a, b, c in (first, second):
        assert sorted(b) == list(y)
        np.testing.assert_array_equal(a, X[b.astype(int)])
        np.testing.assert_array_equal(c, b + 1)
    assert (first[1] != second[1]).any()
    assert made.passes == 2
    again = chunks.shuffled(chunks.arrays(X, y, y + 1, rows=7), buffer=3, seed=5)
    np.testing.assert_array_equal(whole(again)[1], first[1])
    np.testing.assert_array_equal(np.concatenate([y for _, y, _ in again.epoch(1)]), second[1])
    other = chunks.shuffled(chunks.arrays(X, y, rows=7), buffer=3, seed=6)
    assert (whole(other)[1] != first[1]).any()
    assert [len(y) for _, y, _ in made][:3] == [7, 7, 7]


def test_the_shuffle_mixes_well_where_the_source_can_seek():
    """Rows in order of their class: after it, each tenth has about half of each."""
    n = 10_000
    y = np.arange(n) >= n / 2
    source = chunks.arrays(np.zeros((n, 1)), y, rows=100)
    shares = whole(chunks.shuffled(source, buffer=10))[1].reshape(10, -1).mean(axis=1)
    assert 0.05 < shares.std() + 0.05 < 0.3
    in_order = whole(chunks.shuffled(list(source), buffer=10))[1].reshape(10, -1).mean(axis=1)
    assert in_order.std() > 0.4  # a list is gone through in its order


def test_sparse_chunks_are_shuffled():
    X, y = table(p=20)
    X = X.round(0)
    rows = np.nonzero(X)[0]
    sparse = gd.CSR(X[X != 0], np.nonzero(X)[1], np.searchsorted(rows, np.arange(101)), X.shape)
    mixed, order, _ = whole(chunks.shuffled(chunks.arrays(sparse, y, rows=9), buffer=4))
    np.testing.assert_array_equal(mixed, X[order.astype(int)])
    np.testing.assert_array_equal(np.sort(order), y)


@pytest.mark.parametrize("wrong", [{"buffer": 0}, {"buffer": 1.5}, {"seed": -1}, {"seed": None}])
def test_arguments_of_the_shuffle(wrong):
    with pytest.raises((ValueError, TypeError), match=f"{next(iter(wrong))} must be"):
        chunks.shuffled([GOOD], **wrong)


# Files of columns ---------------------------------------------------------------------------


def files(tmp_path, kind, n=100, parts=1, group=9, **more):
    """A pattern of files of a, b, c and y, and their numbers."""
    pa = pytest.importorskip("pyarrow")
    X, y = table(n)
    X = X.round(3)
    for k, rows in enumerate(np.array_split(np.arange(n), parts)):
        columns = {name: X[rows, j] for j, name in enumerate("abc")} | {"y": y[rows]}
        write(tmp_path / f"part-{k}.{kind}", kind, pa.table(columns | more), group)
    return str(tmp_path / f"part-*.{kind}"), X, y


def write(path, kind, table, group=9):
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.parquet

    if kind == "csv":
        pyarrow.csv.write_csv(table, path)
    elif kind == "parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=group)
    else:
        pyarrow.feather.write_feather(table, path, chunksize=group)


def read(kind):
    return chunks.csv if kind == "csv" else chunks.parquet


KINDS = pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "arrow"])


@KINDS
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("rows", [1, 7, 100, None])
def test_files_of_columns(tmp_path, kind, parts, rows):
    path, X, y = files(tmp_path, kind, parts=parts)
    made = read(kind)(path, target="y", rows=rows)
    assert made.n_rows == (100 if kind == "parquet" else None)
    same(made, X, y)
    assert (made.n_rows, made.n_features, made.feature_names) == (100, 3, ["a", "b", "c"])
    sizes = [len(part) for _, part in made]
    assert sizes[:-1] == [rows] * (len(sizes) - 1)
    chosen = read(kind)(path, target="y", columns=["c", "a"], weights="b", dtype="float32")
    (one,) = [chunk for chunk in chosen]
    assert one[0].dtype == np.float32
    np.testing.assert_array_equal(one[0], X[:, [2, 0]].astype(np.float32))
    np.testing.assert_array_equal(one[2], X[:, 1])


@KINDS
def test_files_of_columns_are_shuffled_by_their_pieces(tmp_path, kind):
    path, X, y = files(tmp_path, kind, parts=4)
    made = chunks.shuffled(read(kind)(path, target="y", rows=10), buffer=2)
    mixed, order, _ = whole(made)
    np.testing.assert_array_equal(np.sort(order), y)
    np.testing.assert_array_equal(mixed, X[order.astype(int)])
    assert len(made.source.pieces) >= 4


@KINDS
def test_lists_of_paths_and_paths_with_brackets(tmp_path, kind):
    _, X, y = files(tmp_path, kind, parts=2)
    first, second = sorted(tmp_path.glob("part-*"))
    second = second.rename(tmp_path / f"b[1].{kind}")
    same(read(kind)([first, str(second)], target="y"), X, y)
    for wrong in ("none-*", [], tmp_path / "none.csv", [str(first), "none"]):
        with pytest.raises(ValueError, match=r"no file|names no"):
            read(kind)(wrong, target="y")
    with pytest.raises(TypeError, match="path must be a path"):
        read(kind)(3, target="y")


@KINDS
def test_classes_may_be_text_and_other_columns_may_not(tmp_path, kind):
    path, X, y = files(tmp_path, kind)
    names = np.where(y % 2 == 0, "even", "odd")
    path, X, _ = files(tmp_path, kind, y=names)
    same(read(kind)(path, target="y", rows=30), X, names)
    path, *_ = files(tmp_path, kind, b=names)
    with pytest.raises(ValueError, match=r"b.* holds .*string.* gd.hash_features"):
        read(kind)(path, target="y")
    assert read(kind)(path, target="y", columns=["a", "c"]).n_features == 2


def test_a_column_that_is_text_later(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "late.csv"
    path.write_text("a,y\n" + "1,2\n" * 300_000 + "red,2\n")
    made = chunks.csv(path, target="y")
    with pytest.raises(ValueError, match=r"late.csv cannot be read .*red.* gd.hash_features"):
        list(made)
    path.write_text("a,y\n" + "1,2\n" * 300_000 + "1.5,2.5\n")
    assert whole(chunks.csv(path, target="y"))[1][-1] == 2.5


def test_csv_cells_that_are_missing_are_named(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_text("a;y\n1;2\n;3\n")
    made = chunks.csv(tmp_path / "a.csv", target="y", delimiter=";")
    with pytest.raises(ValueError, match="X of chunk 0 contains NaN, first at row 1, column 0"):
        list(chunks.checked(made))
    with pytest.raises(ValueError, match=r"has no column \['y'\], only \['a;y'\]"):
        chunks.csv(tmp_path / "a.csv", target="y")
    (tmp_path / "a.csv").write_text("a,y\n1,2\n1,2,3\n")
    with pytest.raises(ValueError, match=r"a.csv cannot be read .*columns.*Mend the file"):
        list(chunks.csv(tmp_path / "a.csv", target="y"))
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match=r"a.csv cannot be read"):
        chunks.csv(tmp_path / "a.csv", target="y")
    (tmp_path / "a.csv").write_text("a,y,a\n1,2,3\n")
    with pytest.raises(ValueError, match=r"names a column twice: \['a'\]"):
        chunks.csv(tmp_path / "a.csv", target="y")


@KINDS
def test_files_that_do_not_go_together(tmp_path, kind):
    pa = pytest.importorskip("pyarrow")
    path, *_ = files(tmp_path, kind, parts=2)
    write(tmp_path / f"part-1.{kind}", kind, pa.table({"a": [1.0], "c": [1.0], "y": [1.0]}))
    with pytest.raises(ValueError, match=rf"part-1.{kind} has no column \['b'\]"):
        read(kind)(path, target="y")
    more = {name: [1.0] for name in "abcdy"}
    write(tmp_path / f"part-1.{kind}", kind, pa.table(more))
    with pytest.raises(ValueError, match=r"part-1.* has a column \['d'\] that the first file"):
        read(kind)(path, target="y")
    assert read(kind)(path, target="y", columns=["a", "b"]).n_features == 2
    for wrong in ({"target": "z"}, {"columns": ["z"]}, {"weights": "z"}):
        with pytest.raises(ValueError, match=r"has no column \['z'\]"):
            read(kind)(path, **({"target": "y", "columns": ["a"]} | wrong))
    with pytest.raises(ValueError, match="hold the target"):
        read(kind)(path, target="y", columns=["y", "a"])
    with pytest.raises(TypeError, match="columns must be a list"):
        read(kind)(path, target="y", columns="a")
    with pytest.raises(ValueError, match="dtype must be"):
        read(kind)(path, target="y", columns=["a"], dtype="int32")


def test_types_of_columns(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import decimal

    columns = {
        "bool": pa.array([True, None, False]),
        "int": pa.array([1, 2, None], pa.int8()),
        "half": pa.array(np.array([1, 2, 3], np.float16)),
        "decimal": pa.array([decimal.Decimal("1.5")] * 3),
        "y": pa.array(["a", "b", "a"]).dictionary_encode(),
    }
    write(tmp_path / "a.parquet", "parquet", pa.table(columns))
    ((X, y),) = chunks.parquet(tmp_path / "a.parquet", target="y")
    np.testing.assert_array_equal(X, [[1, 1, 1, 1.5], [np.nan, 2, 2, 1.5], [0, np.nan, 3, 1.5]])
    assert y.tolist() == ["a", "b", "a"]
    write(tmp_path / "a.parquet", "parquet", pa.table({"a": pa.array([1, 2], "f4"), "y": [1, 0]}))
    ((X, y),) = chunks.parquet(tmp_path / "a.parquet", target="y")
    assert (X.dtype, y.dtype) == (np.float32, np.int64)
    write(tmp_path / "b.parquet", "parquet", pa.table({"a": pa.array([1, 2], "f8"), "y": [1, 0]}))
    ((X, y),) = chunks.parquet(str(tmp_path / "*.parquet"), target="y")
    assert X.dtype == np.float64
    write(tmp_path / "b.parquet", "parquet", pa.table({"a": [1.0], "y": ["one"]}))
    with pytest.raises(ValueError, match="text in some files"):
        chunks.parquet(str(tmp_path / "*.parquet"), target="y")
    write(tmp_path / "b.parquet", "parquet", pa.table({"a": [b"x"], "y": [1]}))
    with pytest.raises(ValueError, match=r"Column 'a' of .*b.parquet holds binary"):
        chunks.parquet(str(tmp_path / "*.parquet"), target="y")


def test_files_that_are_broken(tmp_path):
    pytest.importorskip("pyarrow")
    path, *_ = files(tmp_path, "parquet")
    file = tmp_path / "part-0.parquet"
    for content in (b"", b"a,b\n1,2\n", b"PAR1", b"ARROW1", b"PAR1" + b"x" * 99 + b"PAR1"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad (is neither|cannot be read)"):
            chunks.parquet(tmp_path / "bad", target="y")
    made, content = chunks.parquet(path, target="y"), bytearray(file.read_bytes())
    content[4:400] = bytes(396)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"part-0.parquet cannot be read"):
        list(made)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        list(made)


def test_without_pyarrow(monkeypatch, tmp_path):
    for name in ("pyarrow", "pyarrow.csv", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "a.csv").write_text("a,y\n1,2\n")
    for reader in (chunks.csv, chunks.parquet):
        with pytest.raises(ImportError, match=r"Install gdcore\[arrow\]"):
            reader(tmp_path / "a.csv", target="y")
