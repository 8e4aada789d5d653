"""Files written whole or not at all, and what to say of those that are not whole."""

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gdcore._typing import PathLike
from gdcore.errors import require

LARGEST = 1 << 31  # bytes that one array of a file may take once unpacked


def require_bounded(path: PathLike) -> None:
    """Refuse an archive whose members would unpack to more than any model."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            require(entry.file_size <= LARGEST, f"{entry.filename!r} is larger than any model")


def damaged(path: PathLike, kind: str, error: object, cure: str) -> ValueError:
    """The error to raise for a file that cannot be read whole."""
    what = str(error).split(". ")[0].rstrip(".") or type(error).__name__
    return ValueError(f"{path} is not a whole {kind}: {what}. {cure}")


def replace(path: PathLike, write: Callable[[IO[bytes]], object]) -> None:
    """To a temporary file beside it, onto the disk, then into its place in one move, which is on
    the disk, too, when this returns."""
    with _told(path):
        target = _target(path)
        temporary = _beside(target)
        try:
            with open(temporary, "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
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
        with open(temporary, "xb"):
            pass
        temporary.unlink()


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


def refuse_overwriting(
    path: Path, force: bool, source: PathLike | None = None, option: str = "--output"
) -> None:
    """Before any work: the output is a place to write to, and never the data themselves."""
    require(path.parent.is_dir(), f"{path.parent} is no folder. Make it first, or pass another.")
    require(
        os.access(path.parent, os.W_OK),
        f"{path.parent} may not be written to. Pass a path in another folder.",
    )
    if path.exists():
        require(path.is_file(), f"{path} is no plain file. Pass the path of a file.")
        same = source is not None and Path(source).exists() and path.samefile(source)
        require(not same, f"{path} is the file with the data. Pass another {option}.")
        require(force, f"{path} exists. Pass --force to overwrite it, or another {option}.")
