"""Files written whole or not at all, and what to say of those that are not whole."""

import os
import zipfile
from collections.abc import Callable
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
    """To a temporary file beside it, onto the disk, then into its place in one move."""
    target = Path(os.path.realpath(path))  # a link goes on pointing at the file
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is no folder. Make it first, or pass another.")
    if target.exists() and not target.is_file():  # a move would replace a device, too
        raise OSError(f"{path} exists and is no plain file. Pass the path of a file.")
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
