"""Fuzzing: what any input may meet, which is an answer or a refusal in two sentences.

In the suite each target runs a fixed number of examples, the same ones each time. `make fuzz`
sets FUZZ_SECONDS: each target then runs for so long, with new examples every time.
"""

import os
import re
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import gdcore as gd
from gdcore.errors import DataConversionWarning
from tests import tally

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
AT_ONCE = 500  # examples of one seed, where time is what ends a target
PACKAGE = str(Path(gd.__file__).parent)
REFUSALS = (ValueError, TypeError, OSError)
LEAKS = (UnicodeError, ArithmeticError, LookupError, RecursionError, np.linalg.LinAlgError)
SENTENCES = re.compile(r".*\S\. \S.*[.)…?]", re.DOTALL)  # what is wrong, and what to do
ARGUMENTS = re.compile(r"\(\) (takes|missing) \d+ (required )?positional argument")
HOW = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def fuzz(what, quick, *strategies):
    """Makes a test of a function of what the strategies draw; it says whether it was refused."""

    def decorate(target):
        def once(drawn):
            with warnings.catch_warnings():
                for kind in (gd.ConvergenceWarning, DataConversionWarning):
                    warnings.simplefilter("ignore", kind)
                refused = target(*drawn)
            tally.count(f"fuzz, {what}, {'refused' if refused else 'answered'}")

        drawn = st.tuples(*strategies)

        def test():
            if not SECONDS:
                few = tally.times(quick, 40 * quick)
                settings(derandomize=True, max_examples=few, **HOW)(given(drawn)(once))()
                return
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                fresh = seed(int.from_bytes(os.urandom(4), "little"))
                fresh(settings(max_examples=AT_ONCE, **HOW)(given(drawn)(once)))()
            counts = (tally.TRIED[f"fuzz, {what}, {how}"] for how in ("answered", "refused"))
            print("\nfuzz, {}: {:,} answered, {:,} refused".format(what, *counts))

        test.__name__, test.__doc__ = target.__name__, target.__doc__
        return test

    return decorate


def outcome(call, *arguments, **named):
    """(what it gives, None), or (None, the refusal); anything else is a defect."""
    try:
        return call(*arguments, **named), None
    except REFUSALS as error:
        complaint = fault_of(error)
        if complaint:
            raise AssertionError(f"{complaint}: {type(error).__name__}: {error}") from error
        return None, error


def fault_of(error):
    """What is wrong with a refusal; None where it is one of ours, in two sentences."""
    if isinstance(error, LEAKS) and not isinstance(error, gd.NotFittedError):
        return "leaks from inside"
    if isinstance(error, OSError) and error.strerror:
        return None  # the system's own words, with the file's name
    if isinstance(error, TypeError) and ARGUMENTS.search(str(error)):
        return None  # Python's words on a function that was passed, and takes others
    if not SENTENCES.fullmatch(str(error)):
        return "is no sentence with a cure"
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    if not last.startswith(PACKAGE):
        return f"comes from {last}"
    return None


class Held:
    """Arrays as they were, so that nobody changes them."""

    def __init__(self, *values):
        self.kept = [(a, a.tobytes()) for a in values if type(a) is np.ndarray and not _inner(a)]

    def require_unchanged(self):
        for array, before in self.kept:
            assert array.tobytes() == before, "an input was changed"


def _inner(array):
    return array.dtype.hasobject
