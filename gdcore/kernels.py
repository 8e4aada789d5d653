"""Every kernel by name: compiled where it was built, NumPy elsewhere.

The later import wins, so a kernel may live in NumPy alone until its compiled twin is written.
GDCORE_BACKEND=auto|native|numpy chooses; native makes a missing extension an error.
GDCORE_SIMD=baseline|v3|v4 holds the compiled kernels at a level of x86-64 below the processor's.
"""

import os
import threading
from typing import Any

from gdcore._numpy.activations import *
from gdcore._numpy.attention import *
from gdcore._numpy.batches import *
from gdcore._numpy.chains import *
from gdcore._numpy.corrected import *
from gdcore._numpy.decoding import *
from gdcore._numpy.epochs import *
from gdcore._numpy.gradients import *
from gdcore._numpy.hashing import *
from gdcore._numpy.heads import *
from gdcore._numpy.hessians import *
from gdcore._numpy.layers import *
from gdcore._numpy.moments import *
from gdcore._numpy.normalization import *
from gdcore._numpy.online import *
from gdcore._numpy.products import *
from gdcore._numpy.quasi import *
from gdcore._numpy.sampling import *
from gdcore._numpy.sparse import *
from gdcore._numpy.sparse_epochs import *
from gdcore._numpy.sparse_gradients import *
from gdcore._numpy.sparse_moments import *
from gdcore._numpy.sparse_online import *
from gdcore._numpy.updates import *
from gdcore._numpy.vectors import *

_twins = {name: kernel for name, kernel in globals().items() if callable(kernel)}
_wanted = os.environ.get("GDCORE_BACKEND", "auto")
if _wanted not in ("auto", "native", "numpy"):
    raise ValueError(
        f"GDCORE_BACKEND must be auto, native or numpy, got {_wanted!r}. Set one of the three."
    )
_level = os.environ.get("GDCORE_SIMD", "")
if _level not in ("", "baseline", "v3", "v4"):
    raise ValueError(
        f"GDCORE_SIMD must be baseline, v3 or v4, got {_level!r}. Set one of the three, or none."
    )
if _wanted != "numpy":
    try:
        from gdcore._native.activations import *
        from gdcore._native.attention import *
        from gdcore._native.batches import *
        from gdcore._native.chains import *
        from gdcore._native.corrected import *
        from gdcore._native.decoding import *
        from gdcore._native.epochs import *
        from gdcore._native.gradients import *
        from gdcore._native.hashing import *
        from gdcore._native.heads import *
        from gdcore._native.hessians import *
        from gdcore._native.layers import *
        from gdcore._native.moments import *
        from gdcore._native.normalization import *
        from gdcore._native.online import *
        from gdcore._native.products import *
        from gdcore._native.quasi import *
        from gdcore._native.sampling import *
        from gdcore._native.sparse import *
        from gdcore._native.sparse_epochs import *
        from gdcore._native.sparse_gradients import *
        from gdcore._native.sparse_moments import *
        from gdcore._native.sparse_online import *
        from gdcore._native.updates import *
        from gdcore._native.vectors import *
    except ImportError as error:
        if _wanted == "native":
            raise ImportError(
                "GDCORE_BACKEND=native, but the compiled core is not built. Install a C compiler "
                "and reinstall gdcore, or set GDCORE_BACKEND=auto."
            ) from error
    else:
        if _level and simd_level().removeprefix("x86-64-") != _level:
            raise ImportError(
                f"GDCORE_SIMD={_level}, but the kernels run at {simd_level()}, the highest level "
                "of this processor and build. Ask for a lower level, or unset it."
            )


def backend() -> dict[str, str]:
    """Who answers for each kernel: {name: "native" | "numpy"}.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.backend()["update"] in ("native", "numpy")
    True
    """
    return dict(_answers)


_swapping = threading.Lock()


def take_devices() -> None:
    """From now on kernels take arrays on devices as well, for which `gdcore._array` and the NumPy
    twins answer. Until somebody has such arrays nobody asks for their type."""
    from gdcore import _array
    from gdcore._numpy import _require

    with _swapping:
        if _array.DeviceArray in _require.ARRAYS:
            return
        for name in _answers:
            twin: Any = getattr(_array, name, _twins.get(name))
            globals()[name] = _array.either(globals()[name], twin)
        _require.ARRAYS.append(_array.DeviceArray)


_answers = {
    name: "numpy" if kernel.__module__.startswith("gdcore._numpy") else "native"
    for name, kernel in sorted(globals().items())
    if getattr(kernel, "__module__", "").startswith(("gdcore._numpy", "gdcore._native"))
}
