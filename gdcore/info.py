"""What runs here: versions, which twin answers for each kernel, SIMD level, threads, BLAS."""

import platform

import numpy as np

from gdcore import kernels
from gdcore._version import __version__
from gdcore.threads import available


def backend_line():
    """One sentence on who computes."""
    answers = set(kernels.backend().values())
    if answers == {"native"}:
        return f"Compiled kernels answer ({kernels.simd_level()}), {available()} threads."
    if answers == {"numpy"}:
        return f"NumPy answers for every kernel, {available()} threads."
    return f"Some kernels are compiled, NumPy answers for the others; {available()} threads."


def report():
    """Everything, as lines of text.

    Example
    -------
    >>> from gdcore.info import report
    >>> report().splitlines()[0].split()[0]
    'gdcore'
    """
    import threadpoolctl

    lines = [
        f"gdcore        {__version__}",
        f"Python        {platform.python_version()} ({platform.python_implementation()})",
        f"NumPy         {np.__version__}",
        f"threadpoolctl {threadpoolctl.__version__}",
        f"machine       {platform.machine()}, {platform.system()}",
        f"SIMD level    {kernels.simd_level()}",
        f"threads       {available()}",
    ]
    for library in threadpoolctl.threadpool_info():
        kind = f"{library['user_api']}: {library['internal_api']} {library['version']}"
        lines.append(f"{'BLAS' if library['user_api'] == 'blas' else 'pool':13} {kind}, "
                     f"{library['num_threads']} threads")  # fmt: skip
    lines += ["", backend_line(), "", "kernel              answered by"]
    lines += [f"{name:19} {who}" for name, who in kernels.backend().items()]
    if "numpy" in kernels.backend().values():
        lines += ["", _advice()]
    return "\n".join(lines)


def _advice():
    import os

    if os.environ.get("GDCORE_BACKEND") == "numpy":
        return "GDCORE_BACKEND=numpy asks for it. Unset it to use the compiled core."
    return (
        "The compiled core is missing: the installation found no C compiler. "
        "Install one and reinstall gdcore to get it."
    )
