"""When to stop, and what to call it: rules that look at one measurement of the descent.

A rule is a frozen dataclass with `check(moment)`, which answers None or (Status, sentence with the
number). `a | b` stops when either fires, `a & b` when both do.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from gdcore import kernels
from gdcore._typing import NOTHING, Proof
from gdcore.errors import as_plain, require
from gdcore.status import Moment, Status

__all__ = [
    "Both", "CostChange", "Either", "GradientNorm", "Moment", "ParameterChange", "RelativeChange",
    "RelativeGap", "RelativeStep", "Rule", "Stagnation", "Status", "TargetCost",
]  # fmt: skip

Answer: TypeAlias = tuple[Status, str] | None  # of a rule: why to stop, and the sentence


class Rule:
    """A reason to stop. Subclasses are frozen dataclasses with `check`.

    Example
    -------
    >>> import gdcore as gd
    >>> class Tenth(gd.convergence.Rule):  # of one's own
    ...     def check(self, moment):
    ...         if moment.step == 10:
    ...             return gd.Status.TARGET, "ten steps were enough"
    >>> result = gd.LinearRegression(tol=Tenth(), optimizer="fista").fit([[0.0], [1.0]], [0.0, 9.0])
    >>> result.result_.nit, result.result_.status.name
    (10, 'TARGET')
    """

    def check(self, moment: Moment) -> Answer:
        """None to go on, or (Status, sentence)."""
        raise NotImplementedError

    def fresh(self) -> "Rule":
        """The rule for one descent: itself, or a copy of its own where it remembers."""
        return self

    def watch(self, proof: Proof) -> None:
        """Told before the descent begins who can prove how far J is from its minimum."""

    def __or__(self, other: "Rule") -> "Either":
        return Either(self, other)

    def __and__(self, other: "Rule") -> "Both":
        return Both(self, other)


@dataclass(frozen=True)
class GradientNorm(Rule):
    """Stop when ‖∇J(θ)‖₂ < eps; the shortest subgradient where J has an |θ| term.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.convergence.GradientNorm(1e-6) | gd.convergence.CostChange(1e-9)
    Either(first=GradientNorm(eps=1e-06), second=CostChange(eps=1e-09))
    """

    eps: float = 1e-6

    def __post_init__(self) -> None:
        _require_eps(self)

    def check(self, moment: Moment) -> Answer:
        """Fires on the norm measured at θ."""
        if moment.gradient_norm < self.eps:
            return Status.GRADIENT, f"‖∇J‖ = {moment.gradient_norm:.3g} < {self.eps:.3g}"
        return None


@dataclass(frozen=True)
class CostChange(Rule):
    """Stop when |J⁽ᵗ⁾ − J⁽ᵗ⁻¹⁾| < eps between two measurements.

    Example
    -------
    >>> import gdcore as gd
    >>> model = gd.LinearRegression(tol=gd.convergence.CostChange(1e-6))
    >>> model.fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 4.0]).result_.status.name
    'COST'
    """

    eps: float = 1e-9

    def __post_init__(self) -> None:
        _require_eps(self)

    def check(self, moment: Moment) -> Answer:
        """Fires from the second measurement on."""
        change = abs(moment.cost - moment.previous_cost)
        if change < self.eps:
            return Status.COST, f"|ΔJ| = {change:.3g} < {self.eps:.3g}" + _gradient(moment)
        return None


@dataclass(frozen=True)
class RelativeChange(Rule):
    """Stop when |ΔJ| ≤ eps·max(|J|, |J⁽ᵗ⁻¹⁾|, 1), L-BFGS-B's rule (Byrd et al., 1995).

    Example
    -------
    >>> import gdcore as gd
    >>> gd.convergence.RelativeChange(1e-6) | gd.convergence.GradientNorm(1e-6)
    Either(first=RelativeChange(eps=1e-06), second=GradientNorm(eps=1e-06))
    """

    eps: float = 2.2e-9

    def __post_init__(self) -> None:
        _require_eps(self)

    def check(self, moment: Moment) -> Answer:
        """Fires from the second measurement on."""
        change = abs(moment.cost - moment.previous_cost)
        size = max(abs(moment.cost), abs(moment.previous_cost), 1.0)
        if change <= self.eps * size:
            text = f"|ΔJ| = {change:.3g} ≤ {self.eps:.3g}·{size:.3g}"
            return Status.COST, text + _gradient(moment)
        return None


@dataclass(frozen=True)
class RelativeStep(Rule):
    """Stop when ‖Δθ‖₂ ≤ eps·max(‖θ‖₂, 1) between two measurements.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.convergence.RelativeStep(1e-6)
    RelativeStep(eps=1e-06)
    """

    eps: float = 1e-9

    def __post_init__(self) -> None:
        _require_eps(self)

    def check(self, moment: Moment) -> Answer:
        """Fires from the second measurement on."""
        size = max(kernels.norm(moment.theta), 1.0)
        if moment.moved <= self.eps * size:
            text = f"‖Δθ‖ = {moment.moved:.3g} ≤ {self.eps:.3g}·{size:.3g}"
            return Status.PARAMETERS, text + _gradient(moment)
        return None


@dataclass(frozen=True)
class ParameterChange(Rule):
    """Stop when ‖θ⁽ᵗ⁾ − θ⁽ᵗ⁻¹⁾‖₂ < eps between two measurements.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.convergence.ParameterChange(1e-6) & gd.convergence.GradientNorm(1e-3)
    Both(first=ParameterChange(eps=1e-06), second=GradientNorm(eps=0.001))
    """

    eps: float = 1e-9

    def __post_init__(self) -> None:
        _require_eps(self)

    def check(self, moment: Moment) -> Answer:
        """Fires from the second measurement on."""
        if moment.moved < self.eps:
            text = f"‖Δθ‖ = {moment.moved:.3g} < {self.eps:.3g}" + _gradient(moment)
            return Status.PARAMETERS, text
        return None


@dataclass(frozen=True)
class Stagnation(Rule):
    """Stop when J has not fallen by more than eps·|J₀| in `patience` measurements in a row.

    For mini-batches, whose mean cost is noisy from one epoch to the next; J₀ is the cost at the
    start, so that eps has no unit (after scikit-learn's n_iter_no_change, whose tol has one).

    Example
    -------
    >>> import gdcore as gd
    >>> gd.convergence.Stagnation(1e-4, patience=10)
    Stagnation(eps=0.0001, patience=10)
    """

    eps: float = 1e-4
    patience: int = 10

    def __post_init__(self) -> None:
        _require_eps(self)

    def fresh(self) -> Rule:
        """A copy that remembers the best cost."""
        return _Stagnating(self.eps, self.patience)

    def check(self, moment: Moment) -> Answer:
        """Never: only the copy of a descent knows what came before."""
        return None


@dataclass
class _Stagnating(Rule):
    eps: float
    patience: int
    least: float = float("inf")
    lowest: float = float("inf")  # since `least` was reached, and not far enough below it
    unit: float = 0.0
    waited: int = 0

    def check(self, moment: Moment) -> Answer:
        if self.least == float("inf"):
            self.unit = abs(moment.cost)
        fell = moment.cost < self.least - self.eps * self.unit
        self.waited = 0 if fell else self.waited + 1
        self.least = moment.cost if fell else self.least
        self.lowest = moment.cost if fell else min(self.lowest, moment.cost)
        if self.waited < self.patience:
            return None
        text = f"ΔJ in {self.patience} epochs = {self.lowest - self.least:.3g}"
        text += f", a fall of less than {self.eps * self.unit:.3g}"
        return Status.COST, text + _gradient(moment)


@dataclass(frozen=True)
class RelativeGap(Rule):
    """Stop when J(θ) − J* ≤ eps·J(θ) is proven, for the convex costs of linear models.

    By duality where a penalty holds every coefficient, by the Newton decrement where the optimizer
    is Newton's; elsewhere nothing is proven, and it never fires.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.arange(6.0).reshape(6, 1), np.array([0, 0, 1, 0, 1, 1])
    >>> model = gd.LogisticRegression(tol=gd.convergence.RelativeGap(1e-3)).fit(X, y)
    >>> model.result_.status.name, bool(model.result_.bound <= 1e-3 * model.result_.fun)
    ('CERTIFIED', True)
    """

    eps: float = 1e-6

    def __post_init__(self) -> None:
        _require_eps(self)

    def fresh(self) -> Rule:
        """A copy that knows the descent."""
        return _Proving(self.eps)

    def check(self, moment: Moment) -> Answer:
        """Never: only the copy of a descent knows its cost."""
        return None


@dataclass
class _Proving(Rule):
    eps: float
    proof: Proof = NOTHING
    failed: float = float("inf")  # the estimate at which a proof was tried in vain

    def watch(self, proof: Proof) -> None:
        self.proof = proof

    def check(self, moment: Moment) -> Answer:
        wanted = self.eps * abs(moment.cost)
        estimate = self.proof.estimate(moment.theta, moment.gradient, moment.cost)
        if not estimate <= min(wanted, 0.5 * self.failed):
            return None
        bound = self.proof.bound(moment.theta, moment.gradient, moment.cost, wanted)
        if bound <= wanted:
            text = f"J − J* ≤ {bound:.2g} < {self.eps:.2g}·J"
            return Status.CERTIFIED, text
        self.failed = estimate
        return None


@dataclass(frozen=True)
class TargetCost(Rule):
    """Stop when J ≤ target.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> class Parabola(gd.cost.PlainCost):
    ...     def value_and_gradient(self, theta, g):
    ...         g[:] = theta
    ...         return float(theta @ theta) / 2
    >>> stop = gd.convergence.TargetCost(1e-3)
    >>> result = gd.descend(Parabola(), np.ones(2), gd.optim.SGD(0.5), learning_rate=0.5, stop=stop)
    >>> result.status.name, result.fun <= 1e-3
    ('TARGET', True)
    """

    target: float

    def __post_init__(self) -> None:
        as_plain(self, "target")

    def check(self, moment: Moment) -> Answer:
        """Fires on the cost measured at θ."""
        if moment.cost <= self.target:
            return Status.TARGET, f"J = {moment.cost:.6g} ≤ {self.target:.6g}"
        return None


@dataclass(frozen=True)
class Either(Rule):
    """Stop when one of two rules fires; the first is asked first.

    Example
    -------
    >>> import gdcore as gd
    >>> either = gd.convergence.GradientNorm(1e-6) | gd.convergence.TargetCost(0.1)
    >>> either == gd.convergence.Either(either.first, either.second)
    True
    """

    first: Rule
    second: Rule

    def fresh(self) -> Rule:
        """Of each of the two."""
        return Either(self.first.fresh(), self.second.fresh())

    def watch(self, proof: Proof) -> None:
        """Both are told."""
        self.first.watch(proof)
        self.second.watch(proof)

    def check(self, moment: Moment) -> Answer:
        """The answer of the rule that fired."""
        return self.first.check(moment) or self.second.check(moment)


@dataclass(frozen=True)
class Both(Rule):
    """Stop when two rules fire at once.

    Example
    -------
    >>> import gdcore as gd
    >>> both = gd.convergence.CostChange(1e-9) & gd.convergence.GradientNorm(1e-3)
    >>> both == gd.convergence.Both(both.first, both.second)
    True
    """

    first: Rule
    second: Rule

    def fresh(self) -> Rule:
        """Of each of the two."""
        return Both(self.first.fresh(), self.second.fresh())

    def watch(self, proof: Proof) -> None:
        """Both are told."""
        self.first.watch(proof)
        self.second.watch(proof)

    def check(self, moment: Moment) -> Answer:
        """The first rule's status, with both sentences."""
        one, other = self.first.check(moment), self.second.check(moment)
        if one and other:
            return one[0], f"{one[1]} and {other[1]}"
        return None


def _require_eps(rule: Any) -> None:
    name, eps = type(rule).__name__, as_plain(rule, "eps")
    require(eps > 0, f"{name} needs eps > 0, got {eps}. Leave the rule out to switch it off.")


def _gradient(moment: Moment) -> str:
    if moment.gradient_norm != moment.gradient_norm:  # not measured
        return ""
    return f" while ‖∇J‖ = {moment.gradient_norm:.3g}"
