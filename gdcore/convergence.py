"""When to stop, and what to call it: rules that look at one measurement of the descent.

A rule is a frozen dataclass with `check(moment)`, which answers None or (Status, sentence with the
number). `a | b` stops when either fires, `a & b` when both do.
"""

import enum
from dataclasses import dataclass
from typing import Any, TypeAlias

from gdcore import kernels
from gdcore._typing import Array, Proof
from gdcore.errors import require


class Status(enum.Enum):
    """Why a descent stopped; the value is the message and its cure."""

    GRADIENT = "The gradient is as small as asked: a stationary point."
    CERTIFIED = "The minimum is proven to be no further below than asked."
    COST = (
        "The cost changes as little as asked. That alone does not make a minimum: look at the "
        "gradient's norm, and lower tol or add a gradient rule where it is still large."
    )
    PARAMETERS = "The parameters move as little as asked. Look at the gradient's norm as well."
    TARGET = "The cost is as low as asked."
    VALIDATION = "The held-out loss stopped improving; the parameters with the lowest one are kept."
    CLOSED_FORM = "The minimum of least squares, solved for directly."
    STALLED = (
        "No step changes the parameters any more: floating point has no finer numbers, or the "
        "learning rate is zero. Ask for a larger tol, or a schedule that ends above zero."
    )
    EPOCHS = "The budget of epochs is used up. Raise max_epochs or tol to go on from here."
    STEPS = "The budget of steps is used up. Fit again to go on from here, or raise max_steps."
    ITERATIONS = "The budget of iterations is used up. Raise max_iter or the tolerances to go on."
    SADDLE = (
        "The gradient vanishes at a saddle point, no minimum: the function falls along a direction "
        "of negative curvature. Start elsewhere, or pass restarts=5."
    )
    PLATEAU = (
        "The function is flat here in every direction that was tried: the gradient says nothing "
        "about a minimum. Start elsewhere, rescale the function, or pass restarts=5."
    )
    TIME = "The budget of seconds is used up. Raise max_time or tol to go on from here."
    CALLBACK = "A callback asked to stop; the best parameters so far are kept."
    INTERRUPTED = "Interrupted from the keyboard; the best parameters so far are kept."
    DIVERGED = "The descent diverged; the best parameters so far are kept."

    @property
    def success(self) -> bool:
        """True where the descent ended as wished, False where a budget or a fault ended it."""
        return self in _SUCCESS

    def cure(self, last: bool = False) -> str:
        """The value; with `last`, of a descent that keeps the parameters it measured last."""
        text: str = self.value
        if last and self in (Status.CALLBACK, Status.INTERRUPTED):
            return text.replace("best parameters so far", "parameters measured last")
        return text


_SUCCESS = {
    Status.GRADIENT, Status.CERTIFIED, Status.COST, Status.PARAMETERS, Status.TARGET,
    Status.VALIDATION, Status.CLOSED_FORM,
}  # fmt: skip
Answer: TypeAlias = tuple[Status, str] | None  # of a rule: why to stop, and the sentence
_NONE: Any = None


@dataclass(slots=True)
class Moment:
    """One measurement: what rules and callbacks see."""

    step: int
    epoch: int
    cost: float
    previous_cost: float
    gradient_norm: float
    moved: float
    learning_rate: float
    seconds: float
    examples: int
    validation: float = float("nan")
    theta: Array = _NONE  # as it moves: copy what is to be kept
    gradient: Array | None = None
    score: float = float("nan")


class Rule:
    """A reason to stop. Subclasses are frozen dataclasses with `check`."""

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
    """Stop when |J⁽ᵗ⁾ − J⁽ᵗ⁻¹⁾| < eps between two measurements."""

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
    """Stop when |ΔJ| ≤ eps·max(|J|, |J⁽ᵗ⁻¹⁾|, 1), L-BFGS-B's rule (Byrd et al., 1995)."""

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
    """Stop when ‖Δθ‖₂ ≤ eps·max(‖θ‖₂, 1) between two measurements."""

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
    """Stop when ‖θ⁽ᵗ⁾ − θ⁽ᵗ⁻¹⁾‖₂ < eps between two measurements."""

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
    proof: Proof = _NONE
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


@dataclass
class Saturated(Rule):
    """Stop when rounding a loss's corner further would help more than descending further."""

    proof: Proof = _NONE

    def fresh(self) -> Rule:
        """A copy that knows the descent."""
        return Saturated()

    def watch(self, proof: Proof) -> None:
        """Who knows what was left out."""
        self.proof = proof

    def check(self, moment: Moment) -> Answer:
        """Fires where the rest of the way is a tenth of what was rounded off."""
        if self.proof.saturated(moment.theta, moment.gradient, moment.cost):
            return Status.COST, "the corner's rounding outweighs the rest of the way"
        return None


@dataclass(frozen=True)
class TargetCost(Rule):
    """Stop when J ≤ target."""

    target: float

    def check(self, moment: Moment) -> Answer:
        """Fires on the cost measured at θ."""
        if moment.cost <= self.target:
            return Status.TARGET, f"J = {moment.cost:.6g} ≤ {self.target:.6g}"
        return None


@dataclass(frozen=True)
class Either(Rule):
    """Stop when one of two rules fires; the first is asked first."""

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
    """Stop when two rules fire at once."""

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
    name = type(rule).__name__
    require(
        rule.eps > 0, f"{name} needs eps > 0, got {rule.eps}. Leave the rule out to switch it off."
    )


def _gradient(moment: Moment) -> str:
    if moment.gradient_norm != moment.gradient_norm:  # not measured
        return ""
    return f" while ‖∇J‖ = {moment.gradient_norm:.3g}"
