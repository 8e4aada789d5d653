"""Kernels keep no reference to what they were given, and no memory: answering or refusing."""

import ctypes
import gc
import sys

import numpy as np
import pytest

from tests.kernels.cases import CASES
from tests.kernels.test_twins import ASKED
from tests.tally import count

OFTEN = 12


class Heap(ctypes.Structure):
    """What malloc has handed out, as glibc counts it."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks used free keepcost".split()
    ]


try:
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Heap
except (AttributeError, OSError, TypeError):
    mallinfo = None


@pytest.fixture(scope="module", autouse=True)
def _what_lived_before_is_not_looked_through():
    """Or each collection goes through all that the suite has imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def handed_out():
    found = mallinfo()
    return found.used + found.hblkhd


def spoilt(arguments):
    """One argument after the other is None, or a byte too far on: what a kernel meets with all the
    arguments before it in its hands."""
    for name, value in arguments.items():
        yield arguments | {name: None}
        if isinstance(value, np.ndarray) and value.dtype != object:
            room = np.zeros(value.nbytes + 1, np.uint8)
            yield arguments | {name: room[1:].view(value.dtype).reshape(value.shape)}


def call(kernel, arguments):
    try:
        kernel(**arguments)
    except Exception as error:
        return type(error)
    return None


def things(arguments):
    """Every object of which a kernel might keep a reference; small whole numbers live for ever."""
    held = [v for v in arguments.values() if isinstance(v, (np.ndarray, tuple, list))]
    return [*held, *(v for v in arguments.values() if callable(v))]


@ASKED
def test_no_reference_is_kept(pair, name):
    kernel, arguments = getattr(pair[1], name), CASES[name].arguments(np.float64)
    for given in (arguments, *spoilt(arguments)):
        call(kernel, given)
        held = things(given)
        before = [sys.getrefcount(each) for each in held]
        answer = call(kernel, given)
        assert [sys.getrefcount(each) for each in held] == before
        count("kernel calls that kept no reference")
        assert given is arguments or answer or None in given.values()


@pytest.mark.skipif(mallinfo is None, reason="asks glibc for what malloc has handed out")
@ASKED
def test_no_memory_is_kept(pair, name):
    kernel, arguments = getattr(pair[1], name), CASES[name].arguments(np.float64)
    ways = [arguments, *spoilt(arguments)]
    for given in ways * 2:  # names are interned, caches filled
        call(kernel, given)
    for _ in range(3):  # others in the process may hand out some, once
        gc.collect()
        before = handed_out()
        for _ in range(OFTEN):
            for given in ways:
                call(kernel, given)
        gc.collect()
        kept = handed_out() - before
        if kept < OFTEN * 16:  # the least that malloc hands out at once
            break
    assert kept < OFTEN * 16
    count("kernel calls that kept no memory", OFTEN * len(ways))


class Fault(Exception):
    pass


@pytest.mark.skipif(mallinfo is None, reason="asks glibc for what malloc has handed out")
def test_a_search_that_is_broken_off_keeps_nothing(pair):
    """Its scratch is as long as three vectors, and user's code runs while it is held."""

    def breaks(x, g):
        raise Fault

    n = 10_000
    rng = np.random.default_rng(0)
    S, rho = rng.normal(size=(3, n)), np.ones(3)
    x, g = rng.normal(size=(2, n))
    given = {"evaluate": breaks, "x": x, "value": 1.0, "g": g, "S": S, "Y": S + 1, "rho": rho}
    given |= {"pairs": 0, "caution": 1e-10, "x_new": np.zeros(n), "g_new": np.zeros(n)}
    for _ in range(3):
        assert call(pair[1].wolfe_step, given) is Fault
    before, references = handed_out(), sys.getrefcount(breaks)
    for _ in range(50):
        assert call(pair[1].wolfe_step, given) is Fault
    assert handed_out() - before < n * 8
    assert sys.getrefcount(breaks) == references
    count("kernel calls that kept no memory", 50)


def test_rows_that_shrink_while_they_are_read(kernels):
    """A value's __float__ may do anything, even to the list that holds it."""

    class Thief:
        def __init__(self, rows):
            self.rows = rows

        def __float__(self):
            self.rows.clear()
            return 1.0

    for n in (2, 50):
        rows = []
        rows += [{"a": Thief(rows)}] + [{"b": 1.0}] * n
        room = {"data": np.zeros(99), "indices": np.zeros(99, np.int32)}
        numbers = {"first": 0, "columns": 16, "seed": 0, "sign": 1}
        call(
            kernels.hash_rows, {"rows": rows, "indptr": np.zeros(n + 2, np.int64)} | numbers | room
        )
        assert rows == []
    count("kernel calls under reentrant code", 2)
