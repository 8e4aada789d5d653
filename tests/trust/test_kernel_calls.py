"""Every kernel, called as no kernel should be: an exception or a right result, and no byte written
beyond the arrays. A crash would end the run, which is the point.

What test_twins.py spoils one by one (None, dtypes, axes, gaps, lengths, read-only outputs) is
counted there. Here: addresses, memory that is shared, row and column numbers, scalars, and what
lies beside the arrays.
"""

import itertools

import numpy as np
import pytest

from tests.kernels.cases import CASES, DIFFER
from tests.kernels.test_twins import ASKED, DTYPES
from tests.tally import THOROUGH, count, times
from tests.trust.guards import Guarded, same_numbers, sentence

LARGE = 2**31 - 1, 2**31, 2**32 + 1, 2**62, 2**63 - 1
FEW = float("nan"), -float("inf"), -1, 0, 1e300, None, (), 2**31, 2**63 - 1, -(2**63), 2**64
MANY = (
    *FEW, float("inf"), -1.0, 1, 2, 0.5, -1e300, 1e-320, True, "x", b"", object(), *LARGE,
    -(2**31), -(2**70), *(2**64 // k + d for k in (2, 3, 6, 12) for d in (0, 1, 2)),
)  # fmt: skip
# Where a number is how much is to be done, what is enormous is done, too: for years.
PATIENT = {"lasso_step": ("sweeps",)}


def both(pair, name, arguments, odd=None):
    """The two twins' guarded calls, and what came of them."""
    made = [Guarded(arguments, odd) for _ in pair]
    return made, [g.call(getattr(one, name)) for one, g in zip(pair, made, strict=True)]


def verdict(name, case, made, found, dtype, loose=False):
    """What is wrong with two twins' answers to one bad call, or None; `loose` where the docstring
    promises no numbers for it. What no C integer holds, NumPy's twin may take."""
    for guarded, answer in zip(made, found, strict=True):
        if guarded.trespassed():
            return f"wrote beside {guarded.trespassed()}"
        changed = set(guarded.changed())
        if isinstance(answer, Exception):
            if changed and name != "hash_rows":  # which says in which row it stopped
                return f"refused after it changed {sorted(changed)}"
            if not sentence(answer):
                return f"refused without a sentence: {answer!r}"
        elif not changed <= set(case.changes):
            return f"changed {sorted(changed)}"
    plain, native = found
    if isinstance(native, OverflowError):
        return None
    if isinstance(plain, Exception) != isinstance(native, Exception):
        return f"twins differ: {plain!r} and {native!r}"
    if isinstance(plain, Exception) or loose:
        return None
    near = max(100 * case.near[dtype is np.float64], 1e-6 if dtype is np.float32 else 1e-12)
    if name not in DIFFER and not same_numbers(plain, native, near):
        return f"twins answer {plain!r} and {native!r}"
    if not same_numbers(made[0].after(), made[1].after(), near):
        return "twins write other numbers"
    return None


@pytest.mark.parametrize("name", sorted(CASES))
@DTYPES
def test_no_kernel_writes_beside_its_arrays(kernels, name, dtype):
    case = CASES[name]
    guarded = Guarded(case.arguments(dtype))
    answer = guarded.call(getattr(kernels, name))
    assert not isinstance(answer, Exception)
    assert guarded.trespassed() == []
    assert sorted(guarded.changed()) == sorted(set(case.changes) & set(guarded.rooms))
    count("kernel calls between guard zones")


@ASKED
@DTYPES
def test_misaligned_arrays_are_refused(pair, name, dtype):
    case, wrong = CASES[name], []
    good = case.arguments(dtype)
    arrays = [each for each, value in good.items() if isinstance(value, np.ndarray) and value.size]
    for each, odd in itertools.product(arrays, (1, 2, 4)):
        if odd % good[each].dtype.alignment == 0:
            continue
        made, found = both(pair, name, good, {each: odd})
        refused = {(type(error), str(error)) for error in found}
        if len(refused) != 1 or not str(found[0]).startswith("A kernel takes aligned arrays"):
            wrong.append((each, odd, *found))
        wrong += [(each, odd, g.changed()) for g in made if g.changed() or g.trespassed()]
        count("bad kernel calls refused", 2)
    assert wrong == []


def overlaps(case, dtype):
    """(names, arguments in which an array that is written shares memory with another)."""
    good = case.arguments(dtype)
    arrays = {n: v for n, v in good.items() if isinstance(v, np.ndarray) and v.size}
    for one, other in itertools.permutations(arrays, 2):
        if one not in case.changes or (other in case.changes and other < one):
            continue
        a, b = arrays[one], arrays[other]
        for shift in {0, 8, a.nbytes - 8}:
            if not 0 <= shift < a.nbytes:
                continue
            room = np.zeros(max(a.nbytes, shift + b.nbytes) + 64, np.uint8)
            start = -room.ctypes.data % 64
            views = {}
            for name, at in ((one, start), (other, start + shift)):
                array = arrays[name]
                views[name] = room[at : at + array.nbytes].view(array.dtype).reshape(array.shape)
            views[one][...] = a
            views[other][...] = b
            yield (one, other, shift), {n: views.get(n, v) for n, v in good.items()}, room


@ASKED
@pytest.mark.parametrize("dtype", [np.float32, np.float64] if THOROUGH else [np.float64])
def test_what_is_written_shares_no_memory(kernels, name, dtype):
    """But where a docstring says that one may be the other: then the numbers are those of two."""
    case, kernel, wrong = CASES[name], getattr(kernels, name), []
    for what, arguments, room in overlaps(case, dtype):
        before = room.copy()
        copies = {n: np.array(v) for n, v in arguments.items() if isinstance(v, np.ndarray)}
        try:
            answer = kernel(**arguments)
        except Exception as error:
            if not sentence(error) or not np.array_equal(room, before):
                wrong.append((what, error))
            count("bad kernel calls refused")
            continue
        apart = Guarded(arguments | copies)
        expected = apart.call(kernel)
        same = not isinstance(expected, Exception)
        same = same and what[2] == 0 and " may be " in (kernel.__doc__ or "")
        same = same and same_numbers(apart.arguments[what[0]], arguments[what[0]], 0)
        if not same or answer != expected:
            wrong.append((what, answer, expected))
    assert wrong == []


def whole_numbers(array):
    """The array with numbers in it that no index should be, at its ends and in the middle."""
    most = np.iinfo(array.dtype).max
    values = {
        -1,
        -2,
        int(array.max(initial=0)) + 1,
        most,
        most - 1,
        -most - 1,
        most // 2,
        2**31 - 1,
    }
    for at, value in itertools.product(sorted({0, len(array) // 2, len(array) - 1}), values):
        spoilt = array.copy()
        spoilt[at] = value
        yield f"[{at}] = {value}", spoilt
    yield "reversed", array[::-1].copy()
    yield "all the largest", np.full_like(array, most)
    yield "all below zero", np.full_like(array, -1)


@ASKED
def test_numbers_of_rows_and_columns_stay_inside(pair, name):
    case, wrong = CASES[name], []
    good = case.arguments(np.float64)
    for each, value in good.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or not value.size:
            continue
        for kind, spoilt in whole_numbers(value):
            made, found = both(pair, name, good | {each: spoilt})
            twice = each == "indices"  # a row may name a column twice then
            fault = verdict(name, case, made, found, np.float64, loose=twice)
            if fault:
                wrong.append((each, kind, fault))
            refused = [isinstance(answer, Exception) for answer in found]
            count("bad kernel calls refused", sum(refused))
            count("odd kernel calls answered alike", 2 - sum(refused))
    assert wrong == []


@ASKED
def test_scalars_of_all_kinds(pair, name):
    case, wrong = CASES[name], []
    good = case.arguments(np.float64)
    for each, value in good.items():
        if isinstance(value, np.ndarray) or each in PATIENT.get(name, ()):
            continue
        for scalar in times(FEW, MANY):
            made, found = both(pair, name, good | {each: scalar})
            fault = verdict(name, case, made, found, np.float64, loose=each == "rate")
            if fault:
                wrong.append((each, scalar, fault))
            refused = [isinstance(answer, Exception) for answer in found]
            count("bad kernel calls refused", sum(refused))
            count("odd kernel calls answered alike", 2 - sum(refused))
    assert wrong == []


def odd_numbers(array, rng):
    """The array with numbers in it of all sizes, none and infinity."""
    spoilt = array.copy()
    places = rng.integers(0, array.size, 3)
    spoilt.flat[places] = rng.choice(
        [np.nan, np.inf, -np.inf, -1.0, 1e300, 1e-320, -0.0, 2.0**31, 2.0**63, 0.5], 3
    ).astype(array.dtype)
    return spoilt


@ASKED
@DTYPES
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_of_all_kinds(kernels, name, dtype):
    """Whatever they come to, nothing is written beside the arrays, and no input changed."""
    case, rng, wrong = CASES[name], np.random.default_rng(0), []
    good = case.arguments(dtype)
    arrays = [n for n, v in good.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    for each, _ in itertools.product(arrays, range(times(2, 50))):
        if not good[each].size:
            continue
        with np.errstate(all="ignore"):
            guarded = Guarded(good | {each: odd_numbers(good[each], rng)})
            answer = guarded.call(getattr(kernels, name))
        allowed = set() if isinstance(answer, Exception) else set(case.changes)
        if guarded.trespassed() or not set(guarded.changed()) <= allowed:
            wrong.append((each, answer, guarded.trespassed(), guarded.changed()))
        count("bad kernel calls refused", isinstance(answer, Exception))
        count("odd kernel calls answered", not isinstance(answer, Exception))
    assert wrong == []
