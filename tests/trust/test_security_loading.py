"""Files made to harm: nothing in them is executed, and no claim of theirs costs memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from tests import tally
from tests.trust import forged
from tests.trust.forged import Member, archive, array_of, npy, safetensors
from tests.trust.readers import READERS

REFUSED = (ValueError, TypeError, OSError)


def test_no_reader_executes_what_a_file_holds(tmp_path):
    trap, folder = tmp_path / "executed", tmp_path / "planted"
    folder.mkdir()
    for path in forged.plant(folder, forged.pickled(trap)):
        for name, read in READERS.items():
            try:
                read(path)
            except REFUSED as error:
                assert ". " in str(error), (name, error)  # noqa: PT017
            assert not trap.exists(), f"{name} executed {path.name}"
            tally.count("malicious files given to a reader, not executed")


def test_the_trap_works(tmp_path):
    """What is planted does act where it is unpickled: the test above could fail."""
    import pickle

    for number, name in enumerate(("alone", "old.protocol")):
        trap = tmp_path / f"executed{number}"
        pickle.loads(forged.pickled(trap)[name])
        assert trap.is_dir()
    trap = tmp_path / "by numpy"
    (tmp_path / "a.npy").write_bytes(forged.pickled(trap)["objects.in.npy"])
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert trap.is_dir()


def test_no_module_can_unpickle_or_run_text():
    """Words by which Python makes code of data stand nowhere in the package."""
    import ast

    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "runpy",
                 "code", "subprocess", "ctypes", "xml", "socket", "urllib", "http"}  # fmt: skip
    calls = {"eval", "exec", "compile", "__import__", "system", "popen", "fromstring", "extractall"}
    lawful = ("re.compile", "platform.system")
    workers = {"pickle", "cloudpickle"}  # of a cluster run what its clients send: SECURITY.md
    for path in Path(gd.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            words = forbidden - workers if "distributed" in path.parts else forbidden
            assert not words & {name.partition(".")[0] for name in names}, path
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                assert called not in calls or ast.unparse(node.func) in lawful, path
                if ast.unparse(node.func) in ("np.load", "np.lib.format.read_array"):
                    keys = {key.arg: key.value for key in node.keywords}
                    assert keys["allow_pickle"].value is False, path


def table(count):
    """An archive that is nothing but a list of members, all of them one."""
    one = archive(Member("a"))
    at = one.index(b"PK\1\2")
    entry = one[at : one.index(b"PK\5\6")]
    end = b"PK\5\6" + bytes(4) + (0xFFFF).to_bytes(2, "little") * 2
    end += (len(entry) * count).to_bytes(4, "little") + at.to_bytes(4, "little") + bytes(2)
    return one[:at] + entry * count + end


def overlapping(count, size):
    """Members that all are the same packed zeros."""
    return archive(
        Member("header.npy", bytes(size), deflated=True),
        *(Member(f"m{k}.npy", size=1 << 28, packed=1 << 18, offset=0) for k in range(count)),
    )


def doubling(levels):
    """A GPT's file whose byte pairs double in length, again and again."""
    merges = [[97, 97], *([256 + k, 256 + k] for k in range(levels))]
    return {"tokenizer": {"kind": "bpe", "merges": merges}}


HUGE = {"shape": (1 << 37,)}  # of float64: 2⁴⁰ bytes
BOMBS = {
    "claims 1 TB.npz": lambda: archive(Member("theta.npy", array_of([1.0]), size=1 << 40)),
    "claims 1 TB packed.npz": lambda: archive(Member("a.npy", array_of([1.0]), packed=1 << 40)),
    "claims 2⁶⁴ bytes.npz": lambda: archive(Member("theta.npy", b"x", size=(1 << 64) - 1)),
    "inflates to more than allowed.npz": lambda: archive(
        Member("w.npy", array_of(np.zeros(tally.times(1 << 18, 33 << 20))), deflated=True,
               size=tally.times(1 << 40, None))
    ),
    "inflates to more than it claims.npz": lambda: archive(
        Member("theta.npy", bytes(1 << 24), deflated=True, size=100)
    ),
    "128 GB or 1 TB over each other.npz": lambda: overlapping(tally.times(500, 4000),
    tally.times(1 << 22, 1 << 28)),
    "a million members.npz": lambda: table(tally.times(100_000, 1_000_000)),
    "ten thousand members.npz": lambda: archive(*(Member(f"{k}.npy") for k in range(10_001))),
    "a name twice.npz": lambda: archive(Member("w.npy", array_of(1.0)), Member("w.npy", b"")),
    "archives within.npz": lambda: archive(
        Member("w.npy", archive(Member("w.npy", bytes(1 << 24), deflated=True), comment=b"x" * 9))
    ),
    "a path upwards.npz": lambda: archive(Member("../../escaped.npy", array_of(1.0))),
    "a path from the root.npz": lambda: archive(Member("/escaped.npy", array_of(1.0))),
    "encrypted.npz": lambda: archive(Member("w.npy", array_of(1.0), flags=1)),
    "a shape of 1 TB.npz": lambda: archive(Member("theta.npy", npy(HUGE, bytes(8)))),
    "a shape past 2⁶⁴.npz": lambda: archive(
        Member("theta.npy", npy({"shape": (1 << 40, 1 << 40)}))
    ),
    "a shape that wraps to 8.npz": lambda: archive(
        Member("theta.npy", npy({"shape": (1 << 32, (1 << 32) + 1)}, bytes(8)))
    ),
    "a negative shape.npz": lambda: archive(Member("theta.npy", npy({"shape": (-1,)}, bytes(8)))),
    "text of 1 GB.npz": lambda: archive(Member("w.npy", npy({"descr": "<U268435456"}))),
    "a header of 1 GB.npz": lambda: archive(
        Member("w.npy", npy(" " * 70_000, version=(2, 0), length=1 << 30))
    ),
    "a header of brackets.npz": lambda: archive(Member("w.npy", npy("(" * 9000))),
    "a shape of 1 TB.npy": lambda: npy(HUGE, bytes(8)),
    "a shape past 2⁶⁴.npy": lambda: npy({"shape": (1 << 40, 1 << 40)}, bytes(8)),
    "a negative shape.npy": lambda: npy({"shape": (-4, -2)}, bytes(64)),
    "a header of 1 GB.npy": lambda: npy(" " * 70_000, version=(2, 0), length=1 << 30),
    "a header of brackets.npy": lambda: npy("[" * 9000),
    "a header of 2⁶³.safetensors": lambda: safetensors({}, length=1 << 63),
    "a header of 2⁶⁴ − 1.safetensors": lambda: safetensors({}, length=(1 << 64) - 1),
    "a header of 1 TB.safetensors": lambda: safetensors({}, length=1 << 40),
    "deep.safetensors": lambda: safetensors(b'{"a":' * 100_000),
    "deep lists.safetensors": lambda: safetensors(b'{"w":' + b"[" * 100_000),
    "a tensor of 1 TB.safetensors": lambda: safetensors({"w": entry([1 << 37], 0, 1 << 40)}),
    "a tensor past 2⁶⁴.safetensors": lambda: safetensors({"w": entry([1 << 62, 4], 0, 0)}),
    "nothing times 2⁶⁴.safetensors": lambda: safetensors({"w": entry([0, 1 << 64], 0, 0)}),
    "not a number.safetensors": lambda: safetensors(
        b'{"w":{"dtype":"F64","shape":[NaN],"data_offsets":[0,8]}}', bytes(8)
    ),
    "negative.safetensors": lambda: safetensors({"w": entry([-1, -1], 0, 8)}, bytes(8)),
    "overlapping.safetensors": lambda: safetensors(
        {"w": entry([2], 0, 16), "v": entry([2], 8, 24)}, bytes(24)
    ),
    "a gap.safetensors": lambda: safetensors(
        {"w": entry([1], 0, 8), "v": entry([1], 16, 24)}, bytes(24)
    ),
    "a rest.safetensors": lambda: safetensors({"w": entry([1], 0, 8)}, bytes(24)),
    "a name twice.safetensors": lambda: safetensors(
        b'{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},'
        b'"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', bytes(8)
    ),
    "digits.safetensors": lambda: safetensors(b'{"w":' + b"9" * 1_000_000 + b"}"),
}  # fmt: skip


def entry(shape, begin, end, dtype="F64"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


CODE = """if True:
    import sys, tracemalloc
    from pathlib import Path
    from tests.trust.readers import READERS
    try:  # where the system can: nobody gets more than this, whatever a header claims
        import resource
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (512 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ImportError, OSError):
        pass
    text = {"chunks.csv", "gdcore train"}  # whose files have no headers that claim anything
    for path in map(Path, sys.argv[1:]):
        for name, read in READERS.items():
            if name in text:
                continue
            tracemalloc.start()
            try:
                read(path)
                what = "read"
            except (ValueError, TypeError, OSError) as error:
                what = "refused"
                if "MemoryError" in repr(error.__cause__): what = "out of memory"
            except BaseException as error:
                what = f"{type(error).__name__}: {error}"
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            print(path.name, name, peak, what, sep="|")
"""


def test_no_claim_of_a_file_costs_memory(tmp_path):
    """Each bomb before each reader, under a limit of the system and a count of what was taken."""
    paths = []
    for name, content in BOMBS.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, *map(str, paths)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split("|") for line in done.stdout.splitlines()]
    assert len(lines) == len(paths) * (len(READERS) - 2)
    allowed = {path.name: 4 * path.stat().st_size + (16 << 20) for path in paths}
    for path, reader, peak, what in lines:
        assert what == "refused", f"{reader} of {path}: {what}"
        assert int(peak) < allowed[path], f"{reader} took {peak} bytes for {path}"
        tally.count("files that claim too much, refused without the memory")
    assert {path.name for path in tmp_path.iterdir()} == set(BOMBS)


def test_the_product_of_a_million_lengths_is_not_sought(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors({"w": entry([1 << 62] * 100_000, 0, 0)}))
    with pytest.raises(ValueError, match=r"w\.safetensors is not .*: tensor w has shape"):
        READERS["tensors.read"](path)
