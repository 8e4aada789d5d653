"""One page about one descent: verdict, pictures, numbers, settings, versions."""

import math
from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from gdcore._typing import PathLike
from gdcore._version import __version__
from gdcore.diagnose.doctor import doctor
from gdcore.diagnose.pages import BEGINNING, grid, inline, page, pairs
from gdcore.disk import replace
from gdcore.errors import require
from gdcore.info import backend_line, versions
from gdcore.optim.tree import leaves
from gdcore.result import Result
from gdcore.trace import Trace

ROWS = 24  # of the trace that are printed
SHOWN = (
    "step", "epoch", "cost", "gradient_norm", "learning_rate", "validation", "score", "seconds",
    "examples",
)  # fmt: skip
MISSING = "Pictures need matplotlib. Install it: pip install gdcore[plot]"


def write(results: dict[str, Result[Any]], path: PathLike, title: str | None = None) -> None:
    """Write one page about results {heading: Result} to `path`, whole or not at all; over another
    page of ours, and over nothing else."""
    require_own(path)
    alone = len(results) == 1
    body = "".join(section(result, None if alone else name) for name, result in results.items())
    title = title or (f"{next(iter(results))}: a descent" if alone else "Descents")
    when = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    top = f"<h1>{escape(title)}</h1><p class='note'>gdcore {__version__}, {escape(when)}</p>"
    about = f"<h2>Versions</h2>{pairs(versions())}<p class='note'>{escape(backend_line())}</p>"
    text = page(title, f"{top}{body}{about}")
    replace(path, lambda file: file.write(text.encode()))


def require_own(path: PathLike) -> None:
    """Refuse to write over a file that is no page of ours."""
    path = Path(path)
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            ours = file.read(len(BEGINNING)) == BEGINNING.encode()
        require(ours, f"{path} exists and is no report. Pass another path, or move it away.")


def section(result: Result[Any], heading: str | None = None) -> str:
    """The HTML of one result: what the page holds of it."""
    found = doctor(result)
    kind = " ill" if found or result.status.name == "DIVERGED" else ""
    says = f"{result.status.name}: {result.message}"
    parts = [f"<h2>{escape(heading)}</h2>"] if heading else []
    parts += [
        f"<p class='verdict{kind}'><strong>{escape(_upper(found.verdict))}.</strong> "
        f"{escape(says)}</p>",
        found._repr_html_() if found or found.unseen else "",
        *pictures(result),
        f"<h3>Result</h3>{pairs(_numbers(result))}",
        f"<h3>Settings</h3>{pairs(_settings(result))}",
        f"<details><summary>The course in {min(ROWS, len(result.trace))} of "
        f"{len(result.trace)} rows</summary>{_rows(result.trace)}</details>",
    ]
    return "\n".join(part for part in parts if part)


def pictures(result: Result[Any]) -> Iterator[str]:
    """SVG figures of the course, and of the layers of a network; a note without matplotlib."""
    if len(result.trace) < 2:  # no course
        return
    try:
        from matplotlib.figure import Figure
    except ImportError:
        yield f"<p class='note'>{MISSING}</p>"
        return
    from gdcore.diagnose import plots

    kinds: list[Any] = [plots.TraceDisplay]
    if result.trace.layers is not None and len(result.trace.layers):
        kinds.append(plots.LayersDisplay)
    for kind in kinds:
        figure = Figure()
        kind.from_result(result, ax=figure)
        yield inline(figure, kind.__name__)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _numbers(result: Result[Any]) -> Iterator[tuple[str, str]]:
    """(name, text) of what came out."""
    trace = result.trace
    yield "cost", f"{trace.cost[0]:.6g} → {result.fun:.6g}" if len(trace) else f"{result.fun:.6g}"
    slopes = np.concatenate([np.ravel(leaf) for _, leaf in leaves(result.jac)])
    yield "‖∇J‖", f"{np.linalg.norm(slopes):.3g}"
    bound = result.get("bound", math.inf)
    if math.isfinite(bound):
        yield "J − J* at most", f"{bound:.2g}"
    yield "steps", f"{result.nit:,}"
    yield "measurements of J and ∇J over all rows", f"{result.nfev:,}"
    if len(trace):
        yield "epochs", f"{int(trace.epoch[-1]):,}"
        if result.get("batch_size"):
            yield "examples seen", f"{int(trace.examples[-1]):,}"
        yield "seconds", f"{trace.seconds[-1]:.3g}"
        if np.isfinite(trace.validation).any():
            yield "lowest held-out loss", f"{np.nanmin(trace.validation):.6g}"
        if np.isfinite(trace.score).any():
            yield "best held-out score", f"{np.nanmax(trace.score):.4g}"


def _settings(result: Result[Any]) -> Iterator[tuple[str, str]]:
    """(name, text) of what was asked for."""
    yield from result.get("settings", {}).items()
    yield "optimizer used", repr(result.optimizer)
    yield "learning rate at the end", f"{result.learning_rate:.4g}"
    if "choice" in result:
        yield "chosen", result.choice
    if "batch_size" in result:
        yield "examples a step", f"{result.batch_size:,}"
    sizes = [np.size(leaf) for _, leaf in leaves(result.x)]
    yield "numbers in θ", f"{sum(sizes):,}"


def _rows(trace: Trace) -> str:
    """Some rows of the trace, the first and the last among them."""
    if not len(trace):
        return ""
    at = np.unique(np.linspace(0, len(trace) - 1, ROWS).round().astype(int))
    names = [name for name in SHOWN if np.isfinite(getattr(trace, name)).any()]
    columns = [[_cell(name, value) for value in getattr(trace, name)[at]] for name in names]
    return grid([name.replace("_", " ") for name in names], zip(*columns, strict=True))


def _cell(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "–"
    whole = name in ("step", "epoch", "examples")
    return f"{int(value):,}" if whole else f"{value:.5g}"
