"""Files that callbacks write: what a moment is in numbers, and paths looked at before any work."""

import os
from pathlib import Path

from gdcore._typing import PathLike
from gdcore.errors import require

NUMBERS = (
    "step", "epoch", "cost", "gradient_norm", "learning_rate", "seconds", "examples", "validation",
    "score",
)  # fmt: skip
WHOLE = ("step", "epoch", "examples")


def require_path(path: PathLike) -> None:
    require(
        isinstance(path, (str, os.PathLike)) and str(path) != "",
        f"path must be the path of a file, got {path!r}. Pass a text or a Path.",
    )


def require_folder(path: PathLike) -> None:
    """Before any work: there is a place to write to."""
    path = Path(os.path.realpath(path))
    require(path.parent.is_dir(), f"{path.parent} is no folder. Make it first, or pass another.")
    require(
        not path.is_dir(), f"{path} is a folder. Pass the path of a file, as {path / 'run.csv'}."
    )


def require_flag(name: str, value: object) -> None:
    require(
        isinstance(value, bool),
        f"{name} must be True or False, got {value!r}. Pass one of them.",
    )
