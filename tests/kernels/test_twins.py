"""Compiled and NumPy twins: one name, one signature, one set of words, the same numbers and errors.

Agreement is not correctness: what the numbers should be is in the files beside this one.
"""

import inspect
import math

import numpy as np
import pytest

import gdcore as gd
from tests.kernels import twins
from tests.kernels.cases import CASES, DIFFER
from tests.kernels.twins import FAMILIES, KERNELS, outcome, same_bits
from tests.tally import count

KERNEL = pytest.mark.parametrize("name", sorted(CASES))
OWN = pytest.mark.parametrize("name", [name for name in KERNELS if name != "update"])
# Arguments are looked at before the loss or the rule does its work, so that one case asks for all
# losses, one more for several outputs, and one for all rules with as many vectors and numbers.
FIRST = {rule[1:]: name for name, rule in reversed(twins.RULES.items())}.values()
ONE = {"softmax", *FIRST}
ASKED = pytest.mark.parametrize(
    "name", sorted(name for name in CASES if ":" not in name or name.partition(":")[2] in ONE)
)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def same_answer(mine, theirs, near):
    if isinstance(mine, tuple):
        pairs = zip(mine, theirs, strict=True)
        return all(type(one) is type(two) and same_answer(one, two, near) for one, two in pairs)
    if isinstance(mine, float):
        return math.isclose(mine, theirs, rel_tol=10 * near, abs_tol=0)
    return mine == theirs


def test_every_kernel_has_a_case():
    covered = sorted({name.partition(":")[0] for name in CASES})
    assert covered == KERNELS, "give each kernel one line in tests/kernels/cases.py"


def test_names_are_unique_across_families():
    names = [name for module in twins.PLAIN.values() for name in module.__all__]
    assert sorted(set(names)) == sorted(names)


def test_the_kernels_are_all_reachable():
    assert sorted(gd.backend()) == KERNELS


@pytest.mark.parametrize("family", FAMILIES)
def test_families_hold_the_same_names(pair, family):
    """And no others: kernels.py takes every public name."""
    native = [name for name in vars(twins.NATIVE[family]) if not name.startswith("_")]
    plain = twins.PLAIN[family].__all__
    assert sorted(native) == sorted(plain) == list(plain)


def bare(kernel):
    """The signature without types, which the NumPy twin states for both."""
    parts = inspect.signature(kernel).parameters.values()
    return [part.replace(annotation=part.empty) for part in parts]


@pytest.mark.parametrize("name", KERNELS)
def test_twins_share_name_signature_and_words(pair, name):
    plain, native = (getattr(one, name) for one in pair)
    assert plain.__name__ == native.__name__ == name
    assert bare(plain) == bare(native)
    assert plain.__doc__ == native.__doc__
    assert plain.__doc__.endswith(".")


@OWN
def test_cases_name_the_arguments_in_order(name):
    arguments = CASES[name].arguments(np.float64)
    parameters = list(inspect.signature(getattr(gd.kernels, name)).parameters)
    assert sorted(arguments) == sorted(parameters)
    assert set(CASES[name].changes) <= set(arguments)


@pytest.mark.parametrize("name", sorted(set(CASES) - set(DIFFER)))
@DTYPES
def test_twins_give_the_same_numbers(pair, name, dtype):
    case = CASES[name]
    arguments = case.arguments(dtype)
    (mine, plain), (theirs, native) = (outcome(getattr(one, name), arguments) for one in pair)
    near = case.near[dtype is np.float64]
    assert type(mine) is type(theirs)
    assert same_answer(mine, theirs, near)
    if near == 0:
        assert same_bits(plain, native)
    for array, other in zip(plain.values(), native.values(), strict=True):
        np.testing.assert_allclose(array, other, rtol=0, atol=near * np.abs(other).max())


@OWN
def test_the_docstring_says_what_changes(kernels, name):
    case, kernel = CASES[name], getattr(kernels, name)
    arguments = case.arguments(np.float64)
    _, after = outcome(kernel, arguments)
    changed = [a for a, array in after.items() if not same_bits(array, arguments[a])]
    assert sorted(changed) == sorted(case.changes)
    words = kernel.__doc__.rsplit("Changes ")[-1] if "Changes " in kernel.__doc__ else ""
    assert sorted(words.rstrip(".").replace(",", "").replace("and ", "").split()) == sorted(changed)


@ASKED
@DTYPES
def test_what_is_only_read_may_be_read_only(kernels, name, dtype):
    case, kernel = CASES[name], getattr(kernels, name)
    _, expected = outcome(kernel, case.arguments(dtype))
    arguments = case.arguments(dtype)
    for each, value in arguments.items():
        if isinstance(value, np.ndarray) and each not in case.changes:
            value.flags.writeable = False
    kernel(**arguments)
    assert all(same_bits(arguments[each], expected[each]) for each in expected)


@KERNEL
@DTYPES
def test_memory_need_not_be_aligned_to_more_than_an_element(kernels, name, dtype):
    case, kernel = CASES[name], getattr(kernels, name)
    _, expected = outcome(kernel, case.arguments(dtype))
    arguments = case.arguments(dtype)
    for each, value in arguments.items():
        if isinstance(value, np.ndarray):
            room = np.empty(value.size + 1, value.dtype)
            arguments[each] = room[1:].reshape(value.shape)
            arguments[each][...] = value
    kernel(**arguments)
    assert all(same_bits(arguments[each], expected[each]) for each in expected)


def other_float(array):
    return array.astype(np.float32 if array.dtype == np.float64 else np.float64)


STRIDES = ("gaps", "backwards", "columns first")
SPOILT = {
    "None": lambda array: None,
    "a list": lambda array: array.tolist(),
    "a number": lambda array: 1.0,
    "the other precision": other_float,
    "half precision": lambda array: array.astype(np.float16),
    "small integers": lambda array: array.astype(np.int16),
    "complex numbers": lambda array: array.astype(np.complex128),
    "booleans": lambda array: array.astype(bool),
    "objects": lambda array: array.astype(object),
    "strings": lambda array: array.astype(str),
    "foreign bytes": lambda array: array.astype(array.dtype.newbyteorder("S")),
    "an axis more": lambda array: array[None],
    "an axis less": lambda array: array[0] if array.ndim == 1 else array.ravel(),
    "no axis": lambda array: np.array(1.0),
    "gaps": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "backwards": lambda array: array[::-1],
    "columns first": lambda array: (
        np.asfortranarray(array) if array.ndim == 2 and min(array.shape) > 1 else None
    ),
    "read-only": lambda array: array,
}


def copies(arguments):
    return {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in arguments.items()}


def spoilt_arguments(case):
    """(what is spoilt, arguments), one argument at a time."""
    good = case.arguments(np.float64)
    for each, value in good.items():
        if not isinstance(value, np.ndarray):
            yield f"{each}=None", copies(good) | {each: None}
            yield f"{each}='x'", copies(good) | {each: "x"}
            continue
        for kind, spoil in SPOILT.items():
            if kind == "the other precision" and each in case.free:
                continue
            if kind == "read-only" and each not in case.changes:
                continue
            if kind in STRIDES and each in case.strided:
                continue
            arguments = copies(good)
            arguments[each] = spoil(arguments[each])
            if kind == "read-only":
                arguments[each].flags.writeable = False
            yield f"{each}: {kind}", arguments


@ASKED
def test_bad_arguments_are_refused_and_nothing_changes(kernels, name):
    case, kernel, accepted, changed, tried = CASES[name], getattr(kernels, name), [], [], 0
    for what, arguments in spoilt_arguments(case):
        tried += 1
        kept = {n: v.copy() for n, v in arguments.items() if isinstance(v, np.ndarray)}
        try:
            kernel(**arguments)
        except Exception:
            if any(not same_bits(arguments[n], kept[n]) for n in kept if kept[n].dtype != object):
                changed.append(what)
        else:
            accepted.append(what)
    assert not accepted, f"accepted: {', '.join(accepted)}"
    assert not changed, f"changed before the refusal: {', '.join(changed)}"
    count("bad kernel calls refused", tried)


SHORTENED = {
    "one row less": lambda array: array[:-1],
    "one row more": lambda array: np.concatenate([array, array[:1]]),
    "one row": lambda array: array[:1],
    "no row": lambda array: array[:0],
    "one column less": lambda array: np.ascontiguousarray(array[:, :-1]),
    "one column more": lambda array: np.concatenate([array, array[:, :1]], axis=1),
    "no column": lambda array: np.ascontiguousarray(array[:, :0]),
}


@ASKED
def test_wrong_lengths_get_the_same_sentence(pair, name):
    """Where no length is wrong for the kernel, the numbers agree instead."""
    case, differ, refused = CASES[name], [], 0
    good = case.arguments(np.float64)
    for each, value in good.items():
        for kind, cut in SHORTENED.items():
            if not isinstance(value, np.ndarray) or (value.ndim == 1 and "column" in kind):
                continue
            arguments = copies(good) | {each: cut(value)}
            (mine, plain), (theirs, native) = (outcome(getattr(o, name), arguments) for o in pair)
            if isinstance(mine, Exception) or isinstance(theirs, Exception):
                refused += 1
                kept = {n: v for n, v in arguments.items() if isinstance(v, np.ndarray)}
                same = type(mine) is type(theirs) is ValueError and str(mine) == str(theirs)
                same = same and same_bits(plain, kept) and same_bits(native, kept)
            else:
                near = max(case.near[1] * 10, 1e-14)
                same = same_answer(mine, theirs, near) and all(
                    np.allclose(plain[n], native[n], near, near) for n in plain
                )
            if not same:
                differ.append((each, kind, mine, theirs))
    assert differ == []
    count("bad kernel calls refused", 2 * refused)
    assert refused or set(case.free) >= set(good) - {"limit"}
