"""What files claim of a descent, looked at before it is believed: numbers, counts, generators."""

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gdcore._typing import Generator
from gdcore.disk import complaint
from gdcore.errors import require

MOST = 1 << 53  # the trace holds counts as doubles, exactly up to here
PLACES = (("pos", "key"), ("buffer_pos", "buffer"))  # of generators: where in what they read next


def plain(value: Any) -> Any:
    """The state of a generator as JSON takes it: arrays become lists."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def is_number(value: Any) -> bool:
    """Whether it is a number that a double can be made of; truth values are none."""
    if isinstance(value, (int, np.integer)):
        return not isinstance(value, bool) and abs(int(value)) <= sys.float_info.max
    return isinstance(value, (float, np.floating))


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 0 on that the trace could hold."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and 0 <= int(value) <= MOST


def counted(memory: Any, name: str) -> int:
    """A count among what a cost remembers."""
    value: Any = memory.get(name) if isinstance(memory, dict) else None
    require(
        is_count(value),
        f"The checkpoint has no count of the cost's {name}. Pass that of the same run.",
    )
    return int(value)


def rewind(rng: Generator, state: Any) -> None:
    """Go on with random numbers from a state of the same generator, as `plain` gave it. One that
    does not fit changes nothing."""
    trial = copy.deepcopy(rng.bit_generator)  # some of a wrong state would be taken already
    try:
        trial.state = _unlisted(state)
        taken = plain(trial.state)
        _require_within(taken)
        require(taken == state, "it took another state than was given")  # as 0 for 0.5
    except (TypeError, ValueError, LookupError, OverflowError, AttributeError) as error:
        what = complaint(error)
        raise ValueError(
            f"The checkpoint's random numbers are of another generator ({what}). Start anew."
        ) from error
    rng.bit_generator.state = trial.state


def _unlisted(value: Any) -> Any:
    """What `plain` was given, with arrays again. An older NumPy would wrap a number below 0."""
    if isinstance(value, dict):
        return {name: _unlisted(item) for name, item in value.items()}
    require(not isinstance(value, int) or value >= 0, f"it has {value}, and none has less than 0")
    return np.array(value, np.uint64) if isinstance(value, list) else value


def _require_within(state: dict[str, Any]) -> None:
    """NumPy would read at these places of its memory without looking."""
    for place, array in PLACES:
        if place in state:
            require(0 <= state[place] <= len(state[array]), f"its {place} is {state[place]}")
    for part in state.values():
        if isinstance(part, dict):
            _require_within(part)


@contextmanager
def recalling(who: str) -> Iterator[None]:
    """Around a load_state_dict, which may be anybody's and say anything of what it cannot take."""
    try:
        yield
    except Exception as error:
        what = complaint(error)
        raise ValueError(
            f"What the checkpoint has of the {who} does not fit: {what}. Pass that of the same run."
        ) from error
