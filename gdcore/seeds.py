"""Random numbers, from whatever names where they begin."""

from typing import Any

import numpy as np

from gdcore._typing import Generator


def generator(random_state: Any, name: str = "random_state") -> Generator:
    """A Generator from None, a number, a Generator, or a legacy RandomState."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1, size=4))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{name} must be None, a whole number or a Generator, got {random_state!r}. "
            "Pass a number for the same result each time."
        ) from error
