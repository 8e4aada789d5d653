"""Files written whole or not at all, and what to say of those that are not whole."""

import errno
import io
import math
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore.errors import require

LARGEST = 1 << 28  # bytes that the arrays of a file may take once unpacked, or
INFLATED = 4  # times its own size, where that is more: what is large is not packed by `save`
MOST_MEMBERS = 10_000
ONE_READ = 1 << 22  # bytes: more is asked for by nothing but a table of contents that is no model's


def store(file: IO[bytes], arrays: Mapping[str, Any], pack: bool = False) -> None:
    """Write arrays as an .npz that `unpacked` will take; compressed, where that is asked for and
    safe. numpy.savez would take names like "file" for arguments of its own."""
    arrays = {name: np.asanyarray(array) for name, array in arrays.items()}
    small = sum(array.nbytes for array in arrays.values()) <= LARGEST
    method = zipfile.ZIP_DEFLATED if pack and small else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def unpacked(path: PathLike) -> dict[str, Array]:
    """{name: array} of an .npz file; no header is believed before its claim is measured.

    Raises
    ------
    Exception
        Of many kinds, as zipfile, zlib and NumPy have them: to be given to `damaged`.
    """
    require(zipfile.is_zipfile(path), "it is no .npz file, or its end is missing")
    with _Sips(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except OSError as error:
            require(error.errno != errno.EINVAL, "its table of contents lies outside it")
            raise
        with archive:
            entries = archive.infolist()
            _require_modest(entries, os.fstat(file.fileno()).st_size)
            return dict(_member(archive, entry) for entry in entries)


class _Sips(io.FileIO):
    """A file that is not read in one gulp, whatever an archive says of its contents."""

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        require(size <= ONE_READ, "its table of contents is larger than any model's")
        return super().read(ONE_READ if size < 0 else size)


def _require_modest(entries: list[zipfile.ZipInfo], size: int) -> None:
    require(len(entries) <= MOST_MEMBERS, f"it has {len(entries)} members")
    names = {entry.filename for entry in entries}
    require(len(names) == len(entries), "it names a member twice")
    require(
        sum(entry.compress_size for entry in entries) <= size, "its members lie over each other"
    )
    total, most = sum(entry.file_size for entry in entries), max(LARGEST, INFLATED * size)
    require(total <= most, f"unpacked, its {total} bytes are larger than any model of its size")


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[str, Array]:
    """(name, array), read once its header is known to tell the truth."""
    name = entry.filename.removesuffix(".npy")
    try:
        with archive.open(entry) as file:
            claim, size = _claim(file), entry.file_size
        require(claim == size, f"it claims {claim} bytes and has {size}")
        with archive.open(entry) as file:
            return name, np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # zip, zlib and NumPy have words of their own
        raise ValueError(f"{name} cannot be read ({error})") from error


def as_path(path: PathLike) -> Path:
    """The path, if it is one: the system's own words would not say of which argument they are."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a text or a Path, got {path!r}. Pass the path of a file.")
    require("\0" not in str(path), f"path has a zero byte: {str(path)!r}. Pass one without it.")
    return Path(path)


def require_plain(path: Path, what: str) -> None:
    """There is a file to be read: what else there may be has no end, or none of it."""
    cure = f"Pass the path of {what}."
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. {cure}")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. {cure}")
    if not path.is_file():  # a device
        raise OSError(f"{path} is no plain file. {cure}")


def require_npy(path: PathLike) -> None:
    """Refuse an .npy file whose header describes what is not there, before it is mapped."""
    with open(path, "rb") as file:
        claim, size = _claim(file), os.fstat(file.fileno()).st_size
    require(claim <= size, f"it claims {claim} bytes and has {size}")


def _claim(file: IO[bytes]) -> int:
    """Bytes that an .npy file has by its header, which may describe numbers and text alone."""
    plain = np.lib.format.read_magic(file) == (1, 0)  # others are for headers beyond 64 kB
    require(plain, "it has a header of another kind")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    require(dtype.kind in "biufcSUmM", f"it holds {dtype}, not numbers or text")
    require(min(shape, default=0) >= 0, f"it has the shape {shape}")
    return file.tell() + math.prod(shape) * dtype.itemsize


def unreadable(path: PathLike, error: OSError) -> OSError:
    """The error to raise for a file that the system does not give: of a read it names none."""
    text = f"{error.strerror or error}. Make it readable, or pass another path"
    return OSError(error.errno, text, str(path))


def damaged(path: PathLike, kind: str, error: object, cure: str) -> ValueError:
    """The error to raise for a file that cannot be read whole."""
    return ValueError(f"{path} is not a whole {kind}: {complaint(error)}. {cure}")


def complaint(error: object) -> str:
    """The first sentence of an error, without its end: another cure follows."""
    return shown(str(error).partition(". ")[0].rstrip(". ") or type(error).__name__)


def shown(text: str, most: int = 300) -> str:
    """What a file says, as it may come before a user's eyes: no signs that steer a terminal."""
    text = text if len(text) <= most else text[:most] + "…"
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def replace(path: PathLike, write: Callable[[IO[bytes]], object]) -> None:
    """To a temporary file beside it, onto the disk, then into its place in one move, which is on
    the disk, too, when this returns."""
    with _told(path):
        target = _target(path)
        temporary = _beside(target)
        try:
            mode = target.stat().st_mode & 0o777 if target.exists() else None
            first = 0o666 if mode is None else mode
            # nobody may read meanwhile who may not read the file that is replaced
            with open(temporary, "xb", opener=lambda at, how: os.open(at, how, first)) as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                temporary.chmod(mode)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):  # a disk that is gone is not to hide what went wrong
                temporary.unlink(missing_ok=True)
            raise
        _settle(target.parent)


def rehearse(path: PathLike) -> None:
    """Before any work: a file can be made beside it, as `replace` will."""
    with _told(path):
        temporary = _beside(_target(path))
        try:
            with open(temporary, "xb"):
                pass
        finally:  # Ctrl-C may come in between
            temporary.unlink(missing_ok=True)


def clear(path: PathLike) -> None:
    """Take away what writers of this file left beside it when they were killed."""
    target = Path(os.path.realpath(path))
    with suppress(OSError):
        for name in os.listdir(target.parent):
            if re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}", name):
                (target.parent / name).unlink(missing_ok=True)


def said(path: PathLike, error: BaseException) -> str:
    """What to warn of where a fit goes on without a file that it should have written."""
    what = (str(error) or type(error).__name__).partition(". ")[0]
    return (
        f"{path} could not be written: {what}. The fit goes on; what was written before stays, and "
        "the next is tried when it is due."
    )


@contextmanager
def _told(path: PathLike) -> Iterator[None]:
    """What the system says of a file that cannot be written, in two sentences."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        text = f"{error.strerror}. Nothing was changed: make room, or pass another path"
        raise OSError(error.errno, text, str(path)) from error


def _target(path: PathLike) -> Path:
    require_honest_link(as_path(path))
    target = Path(os.path.realpath(path))  # a link goes on pointing at the file
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is no folder. Make it first, or pass another.")
    if target.exists() and not target.is_file():  # a move would replace a device, too
        raise OSError(f"{path} exists and is no plain file. Pass the path of a file.")
    return target


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}")


def _settle(folder: Path) -> None:
    """A move is on the disk once its folder is; where folders cannot be opened, as on Windows, the
    system sees to that itself."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def require_honest_link(path: PathLike) -> None:
    """Refuse a link that somebody else put where everybody may write, as Linux itself can."""
    if os.name != "posix" or not os.path.islink(path):
        return
    link, folder = os.lstat(path), os.stat(Path(path).parent)
    everybody = stat.S_ISVTX | stat.S_IWOTH
    if folder.st_mode & everybody == everybody and link.st_uid not in (os.geteuid(), folder.st_uid):
        raise PermissionError(
            f"{path} is a link that another user put there. Pass the path of a file of your own."
        )


def refuse_overwriting(
    path: Path, force: bool, source: PathLike | None = None, option: str = "--output"
) -> None:
    """Before any work: the output is a place to write to, and never the data themselves."""
    require(path.parent.is_dir(), f"{path.parent} is no folder. Make it first, or pass another.")
    require(
        os.access(path.parent, os.W_OK),
        f"{path.parent} may not be written to. Pass a path in another folder.",
    )
    if os.path.lexists(path):  # a link to nothing is something, too
        linked = path.is_file() or (path.is_symlink() and not path.exists())
        require(linked, f"{path} is no plain file. Pass the path of a file.")
        there = source is not None and Path(source).exists() and path.exists()
        same = there and source is not None and path.samefile(source)
        require(not same, f"{path} is the file with the data. Pass another {option}.")
        require(force, f"{path} exists. Pass --force to overwrite it, or another {option}.")
