"""Short names for annotations: what an array means is said by its name (θ, X, g), not by its type."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
