"""What the texts of a GPT's files claim, measured before it is believed."""

import json
from typing import Any

from gdcore._typing import PathLike
from gdcore.disk import damaged
from gdcore.errors import require
from gdcore.snapshot import of_another_run, require_snapshot

AGAIN = "Save it or fetch it again."
COMPARED = ("parameters", "run", "tokenizer", "vocabulary")  # of a checkpoint and a run
FREE = ("n_threads",)  # parameters that change no bit


def require_room(gpt: Any, numbers: int) -> None:
    """So many blocks are in the file, before they are laid out."""
    least = 4 * whole(gpt.n_layer) * whole(gpt.n_embd) ** 2
    require(least <= numbers, f"its blocks have {least} numbers at least, the file {numbers}")


def whole(value: Any) -> int:
    """The value, if it counts something."""
    require(type(value) is int and value > 0, f"{value!r} is no whole number above 0")
    return int(value)


def parts(path: PathLike, metadata: dict[str, str]) -> dict[str, Any]:
    """What the texts of a checkpoint say, {name: value}."""
    try:
        texts = {name: json.loads(metadata.get(name, "null")) for name in (*COMPARED, "numbers")}
        run = texts["run"]
        require(isinstance(run, dict) and type(run.get("seed")) is int, "its run has no seed")
        require_snapshot(texts["numbers"])
    except (ValueError, RecursionError) as error:
        raise damaged(path, "checkpoint of a GPT", error, AGAIN) from error
    return texts


def require_same(path: PathLike, header: dict[str, str], others: dict[str, Any]) -> None:
    """Refuse a checkpoint of another run, and say what is another."""
    for part in COMPARED:
        mine, kept = json.loads(header[part]), others[part]
        if isinstance(mine, dict) and isinstance(kept, dict):
            names = [n for n in {**mine, **kept} if n not in FREE and mine.get(n) != kept.get(n)]
            part = names[0] if names else part
            mine, kept = (each.get(part) for each in (mine, kept)) if names else (None, None)
        if mine != kept:
            raise of_another_run(path, part, kept, mine, "GPT.load reads its weights")
