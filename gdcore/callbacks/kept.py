"""Files of checkpoints: θ, what was measured there, and all that the rest of the fit depends on."""

import json
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore._version import __version__
from gdcore.callbacks.places import NUMBERS, WHOLE
from gdcore.claims import is_number
from gdcore.disk import as_path, damaged, replace, require_plain, store, unpacked, unreadable
from gdcore.errors import require
from gdcore.hooks import Plan
from gdcore.remembered import text, written
from gdcore.snapshot import Snapshot, of_another_run, require_snapshot

FREE = (  # parameters of a model that change no bit of what is still the same length
    "callbacks", "client", "max_epochs", "max_time", "n_threads", "progress", "verbose",
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
        return arrays | {"header": np.frombuffer(written(header).encode(), np.uint8)}

    @classmethod
    def unpacked(cls, arrays: dict[str, Array], path: PathLike) -> Self | None:
        """What `packed` gave, of a file that has more; None where it has nothing of this."""
        if "header" not in arrays:
            return None
        header = json.loads(arrays["header"].tobytes())
        whole = isinstance(header, dict) and {"began", "lowest", "descents"} <= header.keys()
        require(whole, "its header is none of a checkpoint's")
        require(is_number(header["lowest"]), "its lowest is no number")
        require(isinstance(header["descents"], list), "its descents are no list")
        kept = cls([], header["began"], float(header["lowest"]))
        for number, entry in enumerate(header["descents"]):
            facts = entry.get("facts") if isinstance(entry, dict) else None
            texts = isinstance(facts, dict) and all(isinstance(v, str) for v in facts.values())
            require(texts, f"its descent {number} has no facts")
            snapshot: Snapshot | None = None
            mine = f"{number}."
            if "numbers" in entry:
                own = {n.removeprefix(mine): a for n, a in arrays.items() if n.startswith(mine)}
                snapshot = Snapshot(own, entry["numbers"], _states(entry), path)
                require_snapshot(snapshot.numbers)
            kept.descents.append([facts, snapshot])
        return kept


def _states(entry: dict[str, Any]) -> tuple[Any, ...]:
    """(class, state) of callbacks."""
    kept = entry.get("callbacks")
    pairs = isinstance(kept, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in kept
    )
    require(pairs, "its callbacks are no names with what they remembered")
    return tuple(map(tuple, kept or ()))


def write(path: PathLike, theta: Array, known: dict[str, Any], kept: Kept) -> None:
    """θ and {name: number} of it, and a `Kept`; whole or not at all."""
    arrays: dict[str, Any]
    arrays = {name: np.asarray(known[name], "i8" if name in WHOLE else "f8") for name in known}
    arrays |= kept.packed()
    replace(path, lambda file: store(file, {"theta": theta} | arrays))


def read(path: PathLike) -> tuple[dict[str, Any], Kept | None]:
    """({"theta": array, name: number}, `Kept` or None); raises what `load_checkpoint` says."""
    path = as_path(path)
    require_plain(path, "a checkpoint")
    try:
        arrays = unpacked(path)
        for name in ("theta", *NUMBERS):
            require(name in arrays, f"it lacks {name!r}")
            kind, ndim = "iu" if name in WHOLE else "f", int(name == "theta")
            right = arrays[name].dtype.kind in kind and arrays[name].ndim == ndim
            require(right, f"its {name!r} is {arrays[name].dtype} {arrays[name].shape}")
        for name in WHOLE:
            require(arrays[name] >= 0, f"its {name!r} is {arrays[name]}")
        require(bool(np.isfinite(arrays["theta"]).all()), "its 'theta' is not finite")
        kept = Kept.unpacked(arrays, path)
    except OSError as error:
        raise unreadable(path, error) from error
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
        if kept.get(name) != mine.get(name):
            cure = "load_checkpoint reads its θ"
            raise of_another_run(path, name, kept.get(name), mine.get(name), cure)
