"""Nested dicts, lists and tuples of arrays as a list of leaves with paths."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array

Tree: TypeAlias = Array | Mapping[Any, Any] | Sequence[Any]  # of arrays, however deep


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) in order: "layers.0.w"; a bare array has the path "".

    Example
    -------
    >>> from gdcore.optim.tree import leaves
    >>> [path for path, _ in leaves({"layers": [{"w": 1, "b": 2}], "out": 3})]
    ['layers.0.w', 'layers.0.b', 'out']
    """
    items: Iterable[tuple[Any, Any]]
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    else:
        yield path, tree
        return
    for key, child in items:
        yield from leaves(child, f"{path}.{key}" if path else str(key))


def matching(
    tree: Any, like: Any, what: str = "grads", of: str = "params", path: str = ""
) -> list[Any]:
    """The leaves of `tree`, which must be built as `like` is, in the order of `like`."""
    pairs: Iterable[tuple[Any, Any, Any]]
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            raise _other(tree, what, f"the keys {', '.join(map(str, like))}", of, path)
        pairs = [(key, tree[key], child) for key, child in like.items()]
    elif isinstance(like, (list, tuple)):
        if not isinstance(tree, (list, tuple)) or len(tree) != len(like):
            raise _other(tree, what, f"{len(like)} entries", of, path)
        pairs = zip(range(len(like)), tree, like, strict=True)
    else:
        return [tree]
    found = []
    for key, one, child in pairs:
        if isinstance(child, (dict, list, tuple)):
            found += matching(one, child, what, of, f"{path}.{key}" if path else str(key))
        else:
            found.append(one)
    return found


def _other(tree: Any, what: str, wanted: str, of: str, path: str) -> ValueError:
    here = f" at {path!r}" if path else ""
    return ValueError(
        f"{what} must hold {wanted}{here}, got {_name(tree)}. Give it the structure of {of}."
    )


def _name(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"a dict with the keys {', '.join(map(str, tree))}" if tree else "an empty dict"
    if isinstance(tree, (list, tuple)):
        return f"a {type(tree).__name__} of {len(tree)}"
    return f"an array of shape {np.shape(tree)}" if np.ndim(tree) else type(tree).__name__
