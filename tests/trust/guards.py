"""Arrays whose neighbours are watched, and kernels called on them."""

import math
import warnings

import numpy as np

from tests.kernels.twins import same_bits

ZONE = 192  # bytes on either side: three lines of the cache, more than a whole tile reads at once
FILL = 0xA5


class Guarded:
    """Copies of arrays, each between two zones of known bytes; other arguments as they are.

    `odd` bytes move one array, by name, off the multiples of its numbers' size.
    """

    def __init__(self, arguments, odd=None):
        self.rooms, self.arguments = {}, dict(arguments)
        for name, array in arguments.items():
            if isinstance(array, np.ndarray) and array.dtype != object:
                at = ZONE + (odd or {}).get(name, 0)
                room = np.full(array.nbytes + 2 * ZONE + 64, FILL, np.uint8)
                start = -room.ctypes.data % 64 + at
                held = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
                held[...] = array
                self.rooms[name] = room, start, array.nbytes
                self.arguments[name] = held
        self.before = {n: self.arguments[n].copy() for n in self.rooms}

    def call(self, kernel):
        """What it returned, or the exception."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                return kernel(**self.arguments)
            except Exception as error:
                return error

    def trespassed(self):
        """Names of arrays beside which something was written."""
        names = []
        for name, (room, start, size) in self.rooms.items():
            if (room[:start] != FILL).any() or (room[start + size :] != FILL).any():
                names.append(name)
        return names

    def changed(self):
        """Names of arrays that are not what they were."""
        return [n for n, old in self.before.items() if not same_bits(old, self.arguments[n])]

    def after(self):
        return {name: self.arguments[name] for name in self.rooms}


def sentence(error):
    """Whether an error says what is wrong: words, not an empty string or a bare number."""
    return len(str(error).split()) >= 3


def same_numbers(one, other, near):
    """Answers or arrays, NaN being NaN; an infinity may be any number where sums overflow."""
    if isinstance(one, dict):
        return all(same_numbers(one[name], other[name], near) for name in one)
    if isinstance(one, (tuple, list)):
        return all(same_numbers(a, b, near) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray):
        if one.dtype.kind != "f":
            return np.array_equal(one, other)
        fine = np.isfinite(one) & np.isfinite(other)
        size = max(np.abs(one[fine]).max(initial=0), np.abs(other[fine]).max(initial=0))
        return bool((np.abs(one[fine] - other[fine]) <= near * max(size, 1e-300)).all())
    if isinstance(one, float):
        if not (math.isfinite(one) and math.isfinite(other)):
            return True
        return math.isclose(one, other, rel_tol=near, abs_tol=near)
    return one == other
