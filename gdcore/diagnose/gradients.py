"""`gd.check_gradient`: a gradient against differences, coordinate by coordinate and along lines."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from gdcore._typing import Array, ArrayLike, Generator
from gdcore.diagnose.differences import LONGEST, ROOT, STEP, Lines, Verdict
from gdcore.diagnose.subjects import Subject, of_cost, of_estimator, of_function, of_layer
from gdcore.errors import require, require_number
from gdcore.layers.base import Layer
from gdcore.models.estimator import Seed
from gdcore.seeds import generator

FLOOR = 1e-8  # of the largest slope: smaller ones are compared as if they were that large
SAME = 1e-6  # relative: by how much two calls at one x may differ
LISTED = 5  # coordinates in a table
LARGEST = 20  # of many coordinates those of the largest slopes are always among the checked
FOUND = 10  # culprits that are looked for by halves
SHORT = 0.1  # the longest step of a remainder, in sizes of x
ALIKE = 1e-4  # relative: ratios that are one factor


@dataclass(frozen=True)
class Coordinate:
    """One coordinate: its name, its place in θ, both slopes, their relative error, a verdict.

    Example
    -------
    >>> import gdcore as gd
    >>> worst = gd.check_gradient(lambda x: (x @ x, x), [1.0, 2.0]).worst[0]
    >>> worst.analytic, round(worst.numeric, 6), worst.verdict  # a factor forgotten
    (1.0, 2.0, 'wrong')
    """

    name: str
    index: int
    analytic: float
    numeric: float
    error: float
    verdict: str  # "right", "wrong", "kink", "unclear" or "not finite"


@dataclass(frozen=True, repr=False, eq=False)
class GradientCheck:
    """What `check_gradient` found; true where the gradient is right.

    Example
    -------
    >>> import gdcore as gd
    >>> check = gd.check_gradient(lambda x: (x @ x, 2 * x), [1.0, 2.0])
    >>> bool(check), check.verdict, round(check.order)
    (True, 'right', 2)
    """

    ok: bool
    error: Any  # relative, in the structure of x; NaN where a coordinate was not looked at
    numeric: Any  # the slopes by differences, likewise
    worst: tuple[Coordinate, ...]  # the largest error first
    kinks: tuple[Coordinate, ...]  # where the slopes to the two sides differ
    order: float  # of the remainder: 2 is right, 1 is wrong, infinite is nothing but rounding
    message: str

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """ "right", "wrong", or "unclear" where rounding hides every slope."""
        if self.ok:
            return "right"
        return "unclear" if all(c.verdict == "unclear" for c in self.worst) else "wrong"

    def _rows(self) -> list[tuple[str, ...]]:
        listed = self.worst[:LISTED]
        return [
            (c.name, f"{c.analytic:.6g}", f"{c.numeric:.6g}", f"{c.error:.1e}", c.verdict)
            for c in listed
        ]

    def __repr__(self) -> str:
        head = ("worst", "analytic", "numeric", "error", "")
        rows = [head, *self._rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
        table = ["  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in rows]
        first = f"The gradient is {self.verdict}. {self.message}"
        lines = [first, f"order of the remainder: {_order(self.order)}", *table]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th>{text}</th>" for text in ("worst", "analytic", "numeric", "error", "verdict")
        )
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        first = f"The gradient is {self.verdict}. {self.message}"
        return (
            f"<p>{escape(first)}</p><p>Order of the remainder: {_order(self.order)}</p>"
            f"<table class='gradient'><tr>{head}</tr>{rows}</table>"
        )


def check_gradient(
    fun: Any, x: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *,
    jac: bool | Callable[..., Any] = True, args: Any = (), directions: int = 3,
    coordinates: int = 200, step: float | None = None, tol: float = 1e-6, random_state: Seed = 0,
) -> GradientCheck:  # fmt: skip
    """Compare a gradient with differences of its function, and name what differs.

    Each coordinate by central differences, (f(x + h) − f(x − h))/2h for two steps h, extrapolated
    (Press et al., 2007, §5.7), and by shorter and longer steps where these do not agree with it
    (Gill, Murray, Saunders & Wright, 1983, choose among steps by the errors they lead to). A slope
    is wrong where |a − n| > tol·max(|a|, |n|, floor), the floor 1e-8 of the largest slope, and by
    more than rounding, which is measured. Along random directions v the whole gradient is tested,
    and the order p of |f(x + hv) − f(x) − h⟨g, v⟩| ~ hᵖ: 2 for a right gradient, 1 for a wrong one.
    All in double precision.

    Parameters
    ----------
    fun : callable, estimator, `Cost` or `PlainCost`, or `Layer`
        fun(x, *args) → (value, gradient), as `gd.minimize` takes it. Of an estimator the cost of a
        fit to X = x, y is checked, at a random θ near its start, with all rows (of a
        LinearClassifier that of its first class against the rest), and the estimator is left as it
        is; of a GPT that of a text x. Of a cost x is θ. Of a layer Σ v·y is checked, over its
        parameters and its inputs x (n, …), in training, v random.
    x : array of any shape, number, or (nested) dict, list or tuple of arrays
    y, sample_weight : arrays (n,), for an estimator
    jac : True or callable
        True: fun gives both. A callable: jac(x, *args) → gradient.
    directions : int
        How many lines; where one disagrees, the coordinates to blame are found by halves.
    coordinates : int
        So many at most are looked at one by one: of more a random subset, and those of the largest
        slopes.
    step : float, optional
        The first h, over max(|x|, 1); default: the fourth root of the precision of f, 1.2e-4 where
        it has no noise but rounding.
    tol : float
    random_state : int, Generator or None

    Returns
    -------
    GradientCheck
        `ok` (also its truth value), `error` (relative, in the structure of x), `numeric`, `worst`
        (names, both slopes), `kinks`, `order` (infinite where the remainder is rounding alone),
        `message`. At a kink, as that of |x| at 0, any slope between those to its two sides is
        right.

    Raises
    ------
    ValueError, TypeError
        Where f at x is no finite number, or another one at each call: a function with noise needs
        a fixed seed, or the mean of many draws.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> def bowl(x):
    ...     return x @ x, np.array([2 * x[0], x[1]])
    >>> found = gd.check_gradient(bowl, [1.0, 3.0])
    >>> found.ok, found.worst[0].name, round(found.worst[0].numeric, 6)
    (False, 'x[1]', 6.0)
    >>> X, y = np.eye(4), np.array([0.0, 1.0, 1.0, 0.0])
    >>> bool(gd.check_gradient(gd.MLPClassifier(), X, y))
    True
    """
    require_number("directions", directions, low=0, whole=True)
    require_number("coordinates", coordinates, low=1, whole=True)
    require_number("tol", tol, low=0, above=True)
    if step is not None:
        require_number("step", step, low=0, above=True)
    rng = generator(random_state)
    subject = _subject(fun, x, (y, sample_weight), jac, args, rng)
    require(len(subject.free), "There is no coordinate that has a gradient. Pass parameters.")
    with subject.held, np.errstate(all="ignore"):
        check = _Check(subject, rng, step, tol)
        return check.run(directions, coordinates)


def _subject(
    fun: Any, x: Any, rows: tuple[Any, Any], jac: Any, args: Any, rng: Generator
) -> Subject:
    if isinstance(fun, Layer):
        return of_layer(fun, x, rng)
    if hasattr(fun, "value_and_gradient"):
        return of_cost(fun, x)
    if hasattr(fun, "fit"):
        return of_estimator(fun, x, *rows, rng)
    require(
        callable(fun),
        f"fun must be a function, an estimator, a cost or a layer, got {type(fun).__name__}. Pass "
        "one of them.",
    )
    return of_function(fun, x, jac, args)


class _Check:
    """One check on its way."""

    def __init__(self, subject: Subject, rng: Generator, step: float | None, tol: float) -> None:
        self.subject, self.rng, self.tol = subject, rng, tol
        x = subject.start
        value, self.g = subject.ask(x)
        again, other = subject.ask(x)
        require(
            math.isfinite(value),
            f"At x {subject.what} is {value}. Start where it is a finite number.",
        )
        for one, two in ((np.array([value]), np.array([again])), (self.g, other)):
            gap = np.abs(one - two).max(initial=0.0, where=np.isfinite(one))
            require(
                gap <= SAME * np.abs(one).max(initial=0.0, where=np.isfinite(one)),
                f"{subject.what} is another one at each call: at the same x two calls differ by "
                f"{gap:.3g}. Fix the seed of its draws, or return the mean of many.",
            )
        self.lines, self.size = Lines(subject.value, x, value), np.maximum(np.abs(x), 1.0)
        self.finite = np.isfinite(self.g)
        slopes = np.where(self.finite, self.g * self.size, 0.0)[subject.free]
        self.most = float(np.abs(slopes).max())
        self.lines.listen(self._direction(subject.free))
        share = self.lines.noise / max(abs(value), self.most, 1e-300)
        self.first = step or min(max(STEP, share**ROOT), LONGEST)
        self.found: dict[int, Coordinate] = {}

    def _direction(self, among: Array) -> Array:
        """A random direction over these coordinates, in the size of each, of length about 1."""
        v = np.zeros(len(self.g))
        signs = self.rng.choice((-1.0, 1.0), len(among))
        v[among] = signs * self.rng.uniform(0.5, 1.5, len(among)) * self.size[among]
        return v / math.sqrt(len(among))

    def run(self, directions: int, most: int) -> GradientCheck:
        """Coordinates, then lines, then what the lines blame."""
        free = self.subject.free
        for i in self._chosen(free, most):
            self._look(i)
        smooth = np.array([i for i in free if not self._out(i)], int)
        lines = [self._along(smooth) for _ in range(directions)] if len(smooth) else []
        off = [verdict for verdict, _ in lines if verdict.kind in ("wrong", "not finite")]
        if off and len(free) > len(self.found):
            self._blame(smooth)
        orders = [
            self.lines.order(v, verdict.analytic, SHORT)
            for verdict, v in lines
            if math.isfinite(verdict.analytic)
        ]
        return self._result(off, float(np.median(orders)) if orders else math.nan, len(lines))

    def _out(self, i: int) -> bool:
        """Whether a line through x has no slope because of coordinate i."""
        known = self.found.get(i)
        broken = known is not None and known.verdict in ("kink", "not finite")
        return broken or not self.finite[i]

    def _chosen(self, free: Array, most: int) -> list[int]:
        """The coordinates to look at one by one; where a slope is no number, first."""
        if len(free) <= most:
            return list(free.tolist())
        broken = free[~self.finite[free]][:most]
        steep = free[np.argsort(-np.abs(self.g * self.size)[free])][: min(LARGEST, most // 2)]
        rest = self.rng.permutation(free)
        return list(dict.fromkeys([*broken.tolist(), *steep.tolist(), *rest.tolist()]))[:most]

    def _look(self, i: int) -> Coordinate:
        size = float(self.size[i])
        first, floor = self.first * size, FLOOR * self.most / size
        verdict = self.lines.judge(i, float(self.g[i]), first, floor, self.tol)
        if verdict.step < first / 2:  # f has a scale of its own here
            self.size[i] *= verdict.step / first
        self.found[i] = Coordinate(
            self.subject.name(i), i, verdict.analytic, verdict.numeric, verdict.error, verdict.kind
        )
        return self.found[i]

    def _along(self, among: Array) -> tuple[Verdict, Array]:
        """(verdict, v) of a random direction over these coordinates."""
        v = self._direction(among)
        floor = math.sqrt(float(np.square(self.g[among] * v[among]).sum()))
        analytic = float(self.g[among] @ v[among])
        return self.lines.judge(v, analytic, self.first, floor, self.tol), v

    def _blame(self, among: Array) -> None:
        """Look for coordinates that are wrong by halves of those that were not looked at."""
        stack, blamed = [among], 0
        while stack and blamed < FOUND:
            part = stack.pop()
            if len(part) == 1:
                if part[0] not in self.found:
                    blamed += self._look(int(part[0])).verdict == "wrong"
                continue
            half = len(part) // 2
            for some in (part[:half], part[half:]):
                if self._along(some)[0].kind in ("wrong", "not finite"):
                    stack.append(some)

    def _result(self, off: list[Verdict], order: float, lines: int) -> GradientCheck:
        rank = {"not finite": 0, "wrong": 1}
        every = sorted(self.found.values(), key=lambda c: (rank.get(c.verdict, 2), -c.error))
        bad = [c for c in every if c.verdict in rank]
        told = [c for c in every if c.verdict != "unclear"]
        error, numeric = np.full((2, len(self.g)), np.nan)
        for c in every:
            error[c.index], numeric[c.index] = c.error, c.numeric
        message = _words(self, every, bad, off, lines) + _hint(self.subject, bad, numeric, self.g)
        return GradientCheck(
            ok=not bad and not off and bool(told),
            error=self.subject.build(error),
            numeric=self.subject.build(numeric),
            worst=tuple(every),
            kinks=tuple(c for c in every if c.verdict == "kink"),
            order=order,
            message=message,
        )


def _words(
    check: _Check, every: list[Coordinate], bad: list[Coordinate], off: list[Verdict], lines: int
) -> str:
    """The verdict in sentences."""
    total, some = len(check.subject.free), len(every)
    those = _count(some, "coordinate")
    if some < total:
        those += f", drawn at random from {total:,},"
    kinks = [c for c in every if c.verdict == "kink"]
    unclear = [c for c in every if c.verdict == "unclear"]
    if bad and bad[0].verdict == "not finite":
        first = bad[0]
        what = "the gradient" if not math.isfinite(first.analytic) else "f around it"
        number = first.analytic if not math.isfinite(first.analytic) else "not finite"
        text = f"At {first.name} {what} is {number}."
    elif bad:
        first = bad[0]
        text = (
            f"{len(bad):,} of {those} {'differs' if len(bad) == 1 else 'differ'}, most of all "
            f"{first.name}: the gradient says {first.analytic:.6g}, differences say "
            f"{first.numeric:.6g}."
        )
    elif off:
        text = (
            f"Along {len(off)} of {_count(lines, 'random direction')} the slope is "
            f"{off[0].numeric:.6g}, and the gradient says {off[0].analytic:.6g}; {those} are right."
        )
    elif len(unclear) == len(every):
        text = (
            f"Nothing can be told: {check.subject.what} is {check.lines.here:.3g}, and its "
            "rounding hides all slopes. Subtract what is constant."
        )
        return text
    else:
        largest = max(c.error for c in every if c.verdict != "unclear")
        text = f"{those} and {_count(lines, 'random direction')} agree to {largest:.1e}."
    if kinks:
        names = ", ".join(c.name for c in kinks[:LISTED])
        more = f" and {len(kinks) - LISTED} more" if len(kinks) > LISTED else ""
        text += f" There is a kink at {names}{more}."
    if unclear:
        text += f" Of {_count(len(unclear), 'coordinate')} rounding hides the slope."
    return text[0].upper() + text[1:]


def _hint(subject: Subject, bad: list[Coordinate], numeric: Array, g: Array) -> str:
    """What many wrong coordinates have in common."""
    for part in dict.fromkeys(subject.place(c.index)[0] for c in bad):
        shape = subject.parts[part]
        mine = np.arange(len(g)).reshape(-1)[_span(subject, part)]
        a, n = g[mine], numeric[mine]
        if len(shape) == 2 and shape[0] == shape[1] > 1 and np.isfinite(n).all():
            turned = n.reshape(shape).T.reshape(-1)
            if np.allclose(a, turned, rtol=ALIKE, atol=ALIKE * np.abs(n).max()):
                return f" That of {part or 'x'} is transposed."
    ratios = np.array([c.analytic / c.numeric for c in bad if c.numeric])
    if len(ratios) > 1 and np.ptp(ratios) <= ALIKE * abs(ratios[0]):
        return f" All of them are {ratios[0]:.4g} times what they should be."
    return ""


def _span(subject: Subject, wanted: str) -> slice:
    """Where a part lies in x."""
    start = 0
    for name, shape in subject.parts.items():
        size = math.prod(shape)
        if name == wanted:
            return slice(start, start + size)
        start += size
    raise KeyError(wanted)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def _order(order: float) -> str:
    return "only rounding remains" if order == math.inf else f"{order:.2f}"
