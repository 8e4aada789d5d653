"""Rows, targets, weights and parameters of every kind that somebody might pass, by hypothesis."""

import array
import warnings
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from hypothesis import strategies as st

import gdcore as gd

NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1e-300, 5e-324, 1e300, 1.7e308, -1e155, 2.0**53, 1e-8]
RUBBISH = [np.nan, np.inf, -np.inf]
DTYPES = [
    "f8", "f8", "f8", "f4", "f4", "f2", "g", ">f8", "<f4", "i1", "i8", ">i4", "u2", "u8", "?", "O",
    "U3", "S3", "c16", "M8[D]", "m8[s]", [("a", "f8")], "V3",
]  # fmt: skip
FRAMES = [name for name in ("pandas", "polars") if find_spec(name)]  # not all are for all Pythons
SIZES = st.sampled_from([0, 1, 1, 2, 3, 4, 5, 6, 7])


class Sub(np.ndarray):
    """A subclass that says nothing of its own."""


@st.composite
def cells(draw, shape):
    """Numbers (float64) of a shape: small ones, extreme ones, seldom NaN or infinity."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    kind = draw(
        st.sampled_from(["normal", "whole", "whole", "normal", "extreme", "same", "spoilt"])
    )
    if kind == "whole":
        return rng.integers(0, draw(st.sampled_from([2, 3, 9])), shape).astype(float)
    if kind == "extreme":
        return rng.choice(NUMBERS, shape)
    values = rng.normal(size=shape)
    if kind == "same":
        values[...] = draw(st.sampled_from(NUMBERS))
    if kind == "spoilt" and values.size:
        values.reshape(-1)[rng.integers(values.size)] = draw(st.sampled_from(RUBBISH))
    return values


@st.composite
def arrays(draw, shape):
    """An ndarray of a shape: any dtype, any layout."""
    values, dtype = draw(cells(shape)), draw(st.sampled_from(DTYPES))
    with np.errstate(all="ignore"):
        finite = np.nan_to_num(values, posinf=9, neginf=-9)
        whole = isinstance(dtype, str) and np.dtype(dtype).kind in "iu"
        if isinstance(dtype, list) or dtype == "V3":
            made = np.zeros(shape, dtype)
        elif dtype in ("M8[D]", "m8[s]"):
            made = np.clip(finite, -99, 99).astype("i8").astype(dtype)
        else:
            made = (np.clip(finite, -99, 99) if whole else values).astype(dtype)
    return laid_out(draw, made)


def laid_out(draw, made):
    """The same numbers, elsewhere in memory."""
    kind = draw(st.sampled_from(["C", "C", "F", "strided", "backwards", "frozen", "odd", "one",
        "sub",
                                 "masked", "wide"]))  # fmt: skip
    if kind == "F":
        return np.asfortranarray(made)
    if kind == "strided" and made.ndim:
        return np.repeat(made, 2, axis=0)[::2]
    if kind == "wide" and made.ndim == 2:
        return np.hstack([made, made])[:, : made.shape[1]]
    if kind == "backwards" and made.ndim:
        return made[::-1].copy()[::-1]
    if kind == "frozen":
        made.setflags(write=False)
    if kind == "odd" and not made.dtype.hasobject and made.size:
        room = np.empty(made.nbytes + 1, np.uint8)[1:]
        odd = room.view(made.dtype).reshape(made.shape)
        odd[...] = made
        return odd
    if kind == "one" and made.size:
        return np.broadcast_to(made.reshape(-1)[0], made.shape)
    if kind == "sub":
        return made.view(Sub)
    if kind == "masked" and made.dtype.names is None:
        return np.ma.masked_array(made, mask=np.arange(made.size).reshape(made.shape) % 5 == 0)
    return made


def dressed(draw, made):
    """The same numbers as another kind of object."""
    kind = draw(st.sampled_from(["array"] * 8 + ["list", "tuple", *FRAMES, "ragged", "iterator",
                                                 "buffer", "memoryview", "object"]))  # fmt: skip
    plain = type(made) is np.ndarray and made.dtype.kind in "fiub" and made.dtype.itemsize <= 8
    native = plain and made.dtype.isnative and made.dtype != np.float16
    if kind == "list":
        return made.tolist()
    if kind == "tuple":
        return tuple(made.tolist()) if made.ndim else made
    if kind == "ragged" and made.ndim == 2 and len(made) > 1:
        return [*made[:-1].tolist(), made[-1].tolist()[1:]]
    if kind == "iterator":
        return iter(made.tolist()) if made.ndim else made
    if kind == "pandas" and native and made.ndim in (1, 2):
        pandas = import_module(kind)
        return pandas.Series(made) if made.ndim == 1 else pandas.DataFrame(made).add_prefix("c")
    if kind == "polars" and native and made.ndim in (1, 2) and made.size:
        made, polars = np.ascontiguousarray(made), import_module(kind)
        return polars.Series(made) if made.ndim == 1 else polars.DataFrame(made)
    if kind == "buffer" and made.ndim == 1 and plain:
        return array.array("d", made.tolist())
    if kind == "memoryview" and native and made.flags.c_contiguous:
        return memoryview(made)
    if kind == "object":
        return draw(st.sampled_from([None, 3, "x", b"", {}, {1, 2}, [], [[]], [None], object(), 1j,
                                     np.float64(2), range(4), int, [[[]]], "a.npy",
                                     np.array(None)]))  # fmt: skip
    return made


@st.composite
def rows(draw, n, p):
    """X: mostly (n, p) numbers, sometimes anything."""
    odd = [(n,), (), (n, p, 1), (p, n), (n, 0), (0, p), (0,), (1, n, p)]
    shape = draw(st.sampled_from([(n, p)] * 14 + odd))
    return dressed(draw, draw(arrays(shape)))


@st.composite
def plain_rows(draw, n, p):
    """X that is right in its dtype and shape, whatever its numbers."""
    with np.errstate(over="ignore"):
        return laid_out(draw, draw(cells((n, p))).astype(draw(st.sampled_from(["f8", "f8", "f4"]))))


@st.composite
def targets(draw, n):
    """y: mostly one a row."""
    shape = draw(
        st.sampled_from([(n,)] * 12 + [(n, 1), (n, 2), (n + 1,), (0,), (), (1, n), (n, 0)])
    )
    kind = draw(st.sampled_from(["classes", "classes", "numbers", "numbers", "any", "text"]))
    if kind == "classes":
        return (np.arange(max(1, int(np.prod(shape)))) % draw(SIZES.map(lambda k: k + 1)))[
            : int(np.prod(shape))
        ].reshape(shape)
    if kind == "numbers":
        return draw(cells(shape))
    if kind == "text":
        return np.array(["no", "yes", "", "π"])[np.arange(int(np.prod(shape))) % 4].reshape(shape)
    return dressed(draw, draw(arrays(shape)))


@st.composite
def weights(draw, n):
    """sample_weight: mostly none."""
    if draw(st.booleans()) or draw(st.booleans()):
        return None
    if draw(st.booleans()):
        return np.abs(draw(cells((n,))))
    return draw(targets(n))


PARTS = ["data", "indices", "indptr", "shape"]


@st.composite
def sparse_parts(draw):
    """(data, indices, indptr, shape) that may hold together, or not quite."""
    n, p = draw(SIZES), draw(SIZES)
    dense = draw(cells((n, p))) if n * p else np.zeros((n, p))
    dense = np.where(np.arange(n * p).reshape(n, p) % 3, dense, 0.0)
    counts = [np.flatnonzero(row) for row in dense]
    parts = {
        "data": np.concatenate([row[at] for row, at in zip(dense, counts, strict=True)] or [[]]),
        "indices": np.concatenate([*counts, []]).astype(int),
        "indptr": np.cumsum([0, *map(len, counts)]),
        "shape": (n, p),
    }
    for kind in ("indices", "indptr"):
        parts[kind] = parts[kind].astype(
            draw(st.sampled_from(["i4", "i8", "i8", "u4", "u1", "i2", ">i4"]))
        )
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        _spoil(draw, parts)
    return tuple(parts[name] for name in PARTS)


def _spoil(draw, parts):
    """One thing wrong, or only odd."""
    name = draw(st.sampled_from(PARTS))
    if name == "shape":
        extreme = st.sampled_from(
            [0, -1, 1, 2, 9, 2**31 - 1, 2**31, 2**62, 2**63, 2**70, 1.5, None, "x"]
        )
        n, p = draw(SIZES), draw(SIZES)
        parts["shape"] = draw(st.sampled_from([(n + 1, p), (n, p + 1), (p, n), (n,), (n, p, 1), n,
            None])
                              | st.tuples(extreme, extreme) | st.tuples(st.just(n),
                                  extreme))  # fmt: skip
        return
    values = np.array(parts[name])
    kind = draw(
        st.sampled_from(
            ["value", "value", "cut", "longer", "dtype", "2-d", "shuffled", "same", "list"]
        )
    )
    if kind == "value" and values.size and values.dtype.kind in "iuf":
        at = draw(st.integers(0, values.size - 1))
        whole = [-1, 0, 1, 5, 9, 127, -(2**31), 2**31 - 1, 2**62, -(2**63), 2**63 - 1]
        info = np.iinfo(values.dtype) if values.dtype.kind in "iu" else None
        chosen = draw(st.sampled_from(whole if info else [*NUMBERS, *RUBBISH]))
        with np.errstate(over="ignore"):  # as float32
            values.reshape(-1)[at] = np.clip(chosen, info.min, info.max) if info else chosen
    elif kind == "cut":
        values = values[: draw(st.integers(0, max(0, len(values) - 1)))]
    elif kind == "longer":
        values = np.concatenate([values, values[-1:], values[:1]])
    elif kind == "dtype":
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # parts that are lost, numbers that are too large
            other = draw(st.sampled_from(["f8", "f4", "f2", "O", "U5", "?", "c16", "i8", "g"]))
            with suppress(
                OverflowError, ValueError
            ):  # objects that no C integer holds, text cut off
                values = values.astype(other)
    elif kind == "2-d":
        values = values[:, None]
    elif kind == "shuffled":
        values = values[::-1]
    elif kind == "same":
        values = np.full_like(values, values[0]) if values.size else values
    elif kind == "list":
        values = values.tolist()
    parts[name] = values


class Sparse:
    """A sparse matrix of somebody's, believed in nothing."""

    def __init__(self, data, indices, indptr, shape):
        self.data, self.indices, self.indptr, self.shape = data, indices, indptr, shape

    def tocsr(self):
        return self


ANY = [
    None, True, False, 0, 1, 2, 3, -1, 0.0, 0.5, 1.0, 2.5, -0.5, 1e-8, 1e300, float("nan"),
    float("inf"), 10**30, "auto", "full", "adam", "sgd", "lbfgs", "closed-form", "balanced", "",
        "x",
    b"x", [], [1], [0.5, 0.5], (), (3, 2), {}, {0: 1}, {0: 1.0, 1: 2.0}, {"a": "b"}, object(), 1j,
    int,
    np.float64(0.1), np.float32(0.1), np.int64(2), np.bool_(True), np.array(0.1), np.array([1, 2]),
    Decimal("0.1"), Fraction(1, 3), gd.optim.Adam(0.01), gd.optim.SGD, gd.optim.LBFGS(),
    gd.schedules.WarmUpCosine(steps=10, warmup=2), gd.layers.Dense(2), [gd.layers.Dense(2,
        "relu"), gd.layers.Dense(1)],
    gd.losses.Squared(), gd.callbacks.EarlyStopping("cost"), "logistic", "hinge", "huber", "relu",
    "tanh", range(3), np.random.default_rng(0), lambda t: 0.1, ["a"], [[1]], "float32",
]  # fmt: skip


def parameters(kind, most=3):
    """Some parameters of an estimator, each with a value that may or may not be one of its."""
    names = sorted(set(kind().get_params()) - {"callbacks", "max_time", "progress", "verbose"})
    return st.dictionaries(st.sampled_from(names), st.sampled_from(ANY), max_size=most)
