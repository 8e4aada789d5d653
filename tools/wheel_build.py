"""Build dist/: the sdist, from it the wheel, from that the manylinux wheel; then look at them.

`--twice` builds all of it again in another folder, time zone, umask and order of hashes, and
compares the bytes.
"""

import argparse
import gzip
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from wheel_check import check

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "tools" / "wheel-pins.txt"
ELSEWHERE = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}


def run(*command, **settings):
    """A command whose output is shown only where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings)
    if done.returncode:
        sys.stdout.write(done.stdout.decode(errors="replace"))
        raise SystemExit(f"{' '.join(map(str, command))} failed.")
    return done.stdout.decode()


def tracked():
    """The files of the commit, and new ones that git does not ignore: never what was built here."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return [name for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file()]


def settings(extra):
    """Environment of a build: the commit's time, pinned tools, no folder of this machine's Python
    among the places where libraries are looked for; a missing core is an error."""
    when = os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct", cwd=ROOT)
    ours = {
        "SOURCE_DATE_EPOCH": when.strip(),
        "GDCORE_REQUIRE_NATIVE": "1",
        "PIP_CONSTRAINT": str(PINS),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    if sys.platform == "linux":
        ours["LDSHARED"] = f"{os.environ.get('CC', 'cc')} -shared"
    return (
        {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ours | extra
    )


def repack(source, target, epoch):
    """An archive with the same files, without what depends on when and by whom it was made."""
    packed = io.BytesIO()
    with (
        tarfile.open(source) as old,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.size, clean.mtime = member.type, member.size, epoch
            clean.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(clean, old.extractfile(member) if member.isfile() else None)
    target.write_bytes(gzip.compress(packed.getvalue(), 9, mtime=epoch))


def even(wheel):
    """The wheel without folders of its own, and with modes that no umask had a say in."""
    with ZipFile(wheel) as old:
        held = [(each, old.read(each)) for each in old.infolist() if not each.is_dir()]
    with ZipFile(wheel, "w") as new:
        for member, content in held:
            clean = ZipInfo(member.filename, member.date_time)
            clean.compress_type = ZIP_DEFLATED
            mode = 0o755 if member.filename.endswith(".so") else 0o644
            clean.create_system, clean.external_attr = 3, (stat.S_IFREG | mode) << 16
            new.writestr(clean, content)


def build(target, files, extra=()):
    """The sdist of `files` and its wheel in `target`, each built in an empty folder."""
    env = settings(dict(extra))
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        tree, raw, inner = (Path(room) / name for name in ("tree", "raw", "inner"))
        for name in files:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
        run(sys.executable, "-m", "build", "--sdist", "--outdir", raw, tree, env=env)
        (made,) = raw.glob("*.tar.gz")
        sdist = target / made.name
        repack(made, sdist, int(env["SOURCE_DATE_EPOCH"]))
        with tarfile.open(sdist) as archive:
            archive.extractall(inner, filter="data")
        run(sys.executable, "-m", "build", "--wheel", "--outdir", raw, *inner.iterdir(), env=env)
        (wheel,) = raw.glob("*.whl")
        if sys.platform == "linux":
            run(sys.executable, "-m", "auditwheel", "repair", "-w", target, wheel, env=env)
        else:
            shutil.copy(wheel, target)
    (wheel,) = target.glob("*.whl")
    even(wheel)
    return sdist, wheel


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--twice", action="store_true", help="build again and compare the bytes")
    asked = parser.parse_args()
    dist = ROOT / "dist"
    for old in dist.glob("gdcore-*"):
        old.unlink()
    files = tracked()
    made = build(dist, files)
    check(*made, files)
    for path in made:
        print(f"{path.stat().st_size:>9,} bytes  {digest(path)}  {path.name}")
    if asked.twice:
        os.umask(0o077)
        with tempfile.TemporaryDirectory(prefix="somewhere-else-") as room:
            again = build(Path(room), files, ELSEWHERE)
            for one, other in zip(made, again, strict=True):
                if (one.name, digest(one)) != (other.name, digest(other)):
                    kept = shutil.copy(other, dist / f"second-{other.name}")
                    raise SystemExit(f"{one.name} has other bytes the second time: see {kept}.")
        print("The same bytes twice.")


if __name__ == "__main__":
    main()
