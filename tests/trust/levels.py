"""What every compiled kernel answers at the SIMD level of this process.

`GDCORE_SIMD=baseline python -m tests.trust.levels FILE.npz` writes it down.
"""

import sys

import numpy as np

from tests.kernels import twins
from tests.kernels.cases import CASES, DIFFER
from tests.kernels.twins import same_bits

FUSED = ("attention", "chains", "hessians", "products")  # may round a·b + c once: see setup.py


def family(name):
    return twins.HOME[name.partition(":")[0]]


def answers():
    """{"kernel/dtype/what": numbers}: what each kernel returns, and its arrays afterwards."""
    kernels = twins.namespace(twins.NATIVE)
    found = {}
    for name in sorted(set(CASES) - set(DIFFER)):
        for dtype in (np.float32, np.float64):
            arguments = CASES[name].arguments(dtype)
            answer, arrays = twins.outcome(getattr(kernels, name), arguments)
            if isinstance(answer, Exception):
                raise answer
            key = f"{name}/{np.dtype(dtype).name}"
            for argument, values in arrays.items():
                found[f"{key}/{argument}"] = values
            for i, value in enumerate(answer if isinstance(answer, tuple) else (answer,)):
                if isinstance(value, (bool, int, float, np.ndarray)):
                    found[f"{key}/return {i}"] = np.asarray(value)
    return found


def distance(key, one, other):
    """The largest difference in ulps of the largest number, in the precision of the arguments."""
    if same_bits(one, other):
        return 0.0
    if one.dtype.kind != "f" or not np.array_equal(np.isnan(one), np.isnan(other)):
        return np.inf
    dtype = np.dtype(key.split("/")[1])
    unit = np.spacing(np.abs(other).max().astype(dtype))
    return float(np.nanmax(np.abs(one.astype(float) - other.astype(float))) / unit)


if __name__ == "__main__":
    np.savez(sys.argv[1], **answers())
