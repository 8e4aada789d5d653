"""Files of checkpoints: θ, what was measured there, and all that the rest of the fit depends on."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore._version import __version__
from gdcore.callbacks.places import NUMBERS, WHOLE
from gdcore.disk import damaged, replace, unpacked
from gdcore.errors import require
from gdcore.hooks import Plan
from gdcore.remembered import text
from gdcore.snapshot import Snapshot

FREE = (  # parameters of a model that change no bit of what is still the same length
    "callbacks", "max_epochs", "max_time", "n_threads", "progress", "verbose",
)  # fmt: skip
CURE = "Pass what gd.callbacks.Checkpoint wrote; gd.load reads models."


@dataclass
class Kept:
    """Where the descents of a fit stand, one after another: facts by which each is known, and its
    `Snapshot`, None where none was due."""

    descents: list[Any] = field(default_factory=list)  # [facts, snapshot]
    began: Any = None  # the state of the generator that a fit without a seed began with
    lowest: float = float("inf")

    def packed(self) -> dict[str, Array]:
        """{name: array} to be written."""
        arrays: dict[str, Array] = {}
        told = []
        for number, (facts, snapshot) in enumerate(self.descents):
            entry: dict[str, Any] = {"facts": facts}
            if snapshot is not None:
                arrays |= {f"{number}.{name}": a for name, a in snapshot.arrays.items()}
                entry |= {"numbers": snapshot.numbers, "callbacks": list(snapshot.callbacks)}
            told.append(entry)
        header = {
            "gdcore": __version__, "descents": told, "began": self.began, "lowest": self.lowest,
        }  # fmt: skip
        written = json.dumps(header, default=lambda number: number.item())
        return arrays | {"header": np.frombuffer(written.encode(), np.uint8)}

    @classmethod
    def unpacked(cls, arrays: dict[str, Array]) -> Self | None:
        """What `packed` gave, of a file that has more; None where it has nothing of this."""
        if "header" not in arrays:
            return None
        header = json.loads(arrays["header"].tobytes())
        kept = cls([], header["began"], float(header["lowest"]))
        for number, entry in enumerate(header["descents"]):
            snapshot: Snapshot | None = None
            mine = f"{number}."
            if "numbers" in entry:
                own = {n.removeprefix(mine): a for n, a in arrays.items() if n.startswith(mine)}
                snapshot = Snapshot(own, dict(entry["numbers"]), tuple(entry["callbacks"]))
            kept.descents.append([dict(entry["facts"]), snapshot])
        return kept


def write(path: PathLike, theta: Array, known: dict[str, Any], kept: Kept) -> None:
    """θ and {name: number} of it, and a `Kept`; whole or not at all."""
    arrays: dict[str, Any]
    arrays = {name: np.asarray(known[name], "i8" if name in WHOLE else "f8") for name in known}
    arrays |= kept.packed()
    replace(path, lambda file: np.savez(file, theta=theta, **arrays))


def read(path: PathLike) -> tuple[dict[str, Any], Kept | None]:
    """({"theta": array, name: number}, `Kept` or None); raises what `load_checkpoint` says."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. Pass the path of a checkpoint.")
    if not path.is_file():  # a device may never end
        raise OSError(f"{path} is no plain file. Pass the path of a checkpoint.")
    try:
        arrays = unpacked(path)
        for name in ("theta", *NUMBERS):
            require(name in arrays, f"it lacks {name!r}")
            kind, ndim = "iu" if name in WHOLE else "f", int(name == "theta")
            right = arrays[name].dtype.kind in kind and arrays[name].ndim == ndim
            require(right, f"its {name!r} is {arrays[name].dtype} {arrays[name].shape}")
        require(bool(np.isfinite(arrays["theta"]).all()), "its 'theta' is not finite")
        kept = Kept.unpacked(arrays)
    except OSError:
        raise
    except Exception as error:  # zip, zlib, npy, JSON: each has its own way to say "broken"
        raise damaged(path, "checkpoint", error, CURE) from error
    return {"theta": arrays["theta"]} | {name: arrays[name].item() for name in NUMBERS}, kept


def known_by(plan: Plan, asked: dict[str, str], facts: dict[str, str]) -> dict[str, str]:
    """{name: text} of what a descent depends on: of a model what was set, else what was asked."""
    if plan.settings is None:
        return asked | facts
    given = {"cost": facts["cost"]}  # first: all else may differ with it
    given |= {name: text(each) for name, each in plan.settings.items() if name not in FREE}
    if plan.settings.get("warm_start"):
        given["first θ"] = asked["first θ"]
    return given | facts


def require_same(path: PathLike, kept: dict[str, str], mine: dict[str, str]) -> None:
    """Refuse the checkpoint of another run, and say what is another."""
    for name in {**mine, **kept}:
        there, here = kept.get(name), mine.get(name)
        require(
            there == here,
            f"{path} is of a run with another {name}: {str(there)[:60]}, and this one has "
            f"{str(here)[:60]}. Pass the same, or another path; load_checkpoint reads its θ.",
        )
