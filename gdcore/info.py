"""What runs here: versions, which twin answers for each kernel, SIMD level, threads, BLAS."""

import os
import platform
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._version import __version__
from gdcore.threads import available


def backend_line() -> str:
    """Who computes, and on how many threads, in one line.

    Example
    -------
    >>> from gdcore.info import backend_line
    >>> "thread" in backend_line()
    True
    """
    threads = f"{available()} thread{'s' if available() > 1 else ''}"
    answers = set(kernels.backend().values())
    if answers == {"native"}:
        return f"Compiled kernels answer ({kernels.simd_level()}), {threads}."
    who = "NumPy answers for every kernel" if answers == {"numpy"} else "NumPy answers in part"
    why = "as GDCORE_BACKEND asks" if _asked() else "the compiled core is missing (see gdcore info)"
    return f"{who}: {why}, {threads}."


def versions() -> list[tuple[str, str]]:
    """(name, text) of gdcore, what it runs on, and how."""
    return [
        ("gdcore", __version__),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("NumPy", np.__version__),
        ("machine", f"{platform.machine()}, {platform.system()}"),
        ("SIMD level", _level(kernels.simd_level())),
        ("threads", str(available())),
    ]


def report() -> str:
    """Everything, as lines of text.

    Example
    -------
    >>> from gdcore.info import report
    >>> report().splitlines()[0].split()[0]
    'gdcore'
    """
    import threadpoolctl

    kernels_ = kernels.backend()
    pairs = versions()
    pairs.insert(3, ("threadpoolctl", threadpoolctl.__version__))
    pairs += _pools(threadpoolctl.threadpool_info())
    lines = [f"{name:13} {value}" for name, value in pairs]
    lines += ["", f"{'kernel':19} answered by"]
    lines += [f"{name:19} {who}" for name, who in kernels_.items()]
    lines += ["", backend_line()]
    if "numpy" in kernels_.values():
        lines += [_advice()]
    return "\n".join(lines)


def _level(level: str) -> str:
    return "NumPy's own" if level == "numpy" else level


def _pools(libraries: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """(name, text) of each thread pool in the process; its BLAS first."""
    blas = [library for library in libraries if library["user_api"] == "blas"]
    if not blas:
        yield "BLAS", "unknown to threadpoolctl, so NumPy's kernels run on one thread"
    for library in blas + [library for library in libraries if library["user_api"] != "blas"]:
        text = f"{library['internal_api']} {library['version'] or ''}".rstrip()
        yield (
            library["user_api"].replace("blas", "BLAS"),
            f"{text}, {library['num_threads']} threads",
        )


def _asked() -> bool:
    return os.environ.get("GDCORE_BACKEND") == "numpy"


def _advice() -> str:
    if _asked():
        return "Unset GDCORE_BACKEND to use the compiled core, where it was built."
    return (
        "Everything works, more slowly. To get the compiled core, install a C compiler and then "
        "gdcore once more, from where it came (pip install --force-reinstall)."
    )
