"""Build the native core: src/NAME.pyx becomes gdcore._native.NAME; nothing else is decided here.

A machine without a compiler still gets a working install: the extensions are optional and
NumPy answers for what is missing. GDCORE_REQUIRE_NATIVE=1 makes a failed build an error.
"""

import os
import shlex
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

REQUIRED = os.environ.get("GDCORE_REQUIRE_NATIVE") == "1"
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
STABLE_ABI = not FREE_THREADED  # free-threaded CPython has no stable ABI before 3.15

# -fno-math-errno lets √ vectorise; -ffp-contract=off keeps the bits equal to NumPy's on every
# machine. Never -ffast-math (it folds exp's rounding constant away), never -march=native.
if sys.platform == "win32":
    FLAGS = ["/O2", "/fp:precise"]
else:
    FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-g0"]

# Products in register tiles may fuse a·b + c, as every BLAS does: a quarter faster on AVX2 and up.
# Their loops are short enough to be decoded once, where they begin with a line of the cache.
TILES = ["-ffp-contract=fast", "-falign-loops=64"]
FUSED = set() if sys.platform == "win32" else {"attention", "chains", "hessians", "products"}
TILED = {"gradients", *FUSED}  # the same products, rounded twice: a gradient has one set of bits

# Of a person who looks for faults: sanitizers, coverage, debug information. Last, so that they win.
MORE = shlex.split(os.environ.get("GDCORE_CFLAGS", ""))
COVERED = "--coverage" in MORE  # its C says of which line of a .pyx it is: in a folder of its own
# GDCORE_SIMD holds the kernels at a lower level by the wrapper: see src/_levels.h. A wheel needs no
# names of local symbols.
LINK = ["-Wl,--wrap=__cpu_indicator_init", *["-Wl,-s"] * (not MORE)] * (sys.platform == "linux")
# Arrays reach kernels through what is compiled once, below: that is where they are looked at.
FIRST = ["/FI_buffers.h"] if sys.platform == "win32" else ["-include", "_buffers.h"]

HEADERS = ["src/_buffers.h", "src/_levels.h"]

# What Cython needs for memoryviews is compiled once: in each of 25 kernels it was half of a wheel.
SHARED = "gdcore._native._shared"

MACROS = [("CYTHON_USE_TYPE_SPECS", "1")]
if STABLE_ABI:
    MACROS.append(("Py_LIMITED_API", "0x030B0000"))


def extensions():
    if not {"sdist", "egg_info", "dist_info"}.isdisjoint(sys.argv):
        return []  # nothing is compiled, so nothing need be translated to C
    try:
        from Cython.Build import cythonize
    except ImportError:
        if REQUIRED:
            raise
        return []
    sources = sorted(Path("src").glob("*.pyx"))
    built = cythonize(
        [
            Extension(
                f"gdcore._native.{path.stem}",
                [path.as_posix()],
                include_dirs=["src"],
                depends=[*HEADERS, *["src/_tiles.h"] * (path.stem in TILED)],
                define_macros=MACROS,
                extra_compile_args=FLAGS + TILES * (path.stem in FUSED) + MORE,
                extra_link_args=LINK + MORE,
                py_limited_api=STABLE_ABI,
            )
            for path in sources
        ]
        + [
            Extension(
                SHARED,
                [f"src/{SHARED.rpartition('.')[2]}.c"],
                include_dirs=["src"],
                depends=["src/_buffers.h"],
                define_macros=MACROS,
                extra_compile_args=FLAGS + FIRST + MORE,
                extra_link_args=LINK + MORE,
                py_limited_api=STABLE_ABI,
            )
        ],
        include_path=["src"],
        emit_linenums=COVERED,
        shared_utility_qualified_name=SHARED,
        build_dir="build/gcov/cython" if COVERED else "build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "embedsignature": False,
            "binding": True,
            "freethreading_compatible": True,
        },
    )
    for extension in built:  # set here: cythonize makes new objects and forgets it
        extension.optional = not REQUIRED
    return built


OPTIONS = {"build_ext": {"parallel": os.cpu_count() or 1}}  # compilers, one a module
if STABLE_ABI:
    OPTIONS["bdist_wheel"] = {"py_limited_api": "cp311"}

setup(ext_modules=extensions(), options=OPTIONS)
