"""What linear and logistic regression share: parameters, and one way to fit."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from gdcore import optim
from gdcore._typing import Array, Generator
from gdcore.chunk_cost import ChunkCost
from gdcore.continuation import fingerprint
from gdcore.convergence import Rule, Status
from gdcore.cost import Cost, held_out
from gdcore.data import Rows
from gdcore.descent import descend
from gdcore.device_cost import DeviceCost
from gdcore.device_proof import Shown
from gdcore.devices import to_host
from gdcore.errors import require, require_choice, require_number
from gdcore.glimpse import Glimpse
from gdcore.hooks import Plan
from gdcore.losses import Squared, require_own
from gdcore.models import on_device
from gdcore.models.coordinates import coordinates
from gdcore.models.estimator import (
    Coefficients,
    Estimator,
    counted,
    require_batch,
    require_flags,
    require_optimizer,
    signed,
)
from gdcore.models.family import LinearFamily
from gdcore.models.solvers import (
    AnyCost,
    choose,
    corner_descent,
    head_start,
    held,
    separated,
    stop_rule,
    unit_of,
)
from gdcore.newton import MANY, Newton
from gdcore.normalized import NormalizedAdaptive
from gdcore.optim.base import Optimizer
from gdcore.penalties import Penalty
from gdcore.reduced import REDUCED
from gdcore.result import Result
from gdcore.sparse import CSR
from gdcore.survey import Survey

# Rules that ask for the rows.
VISITING: dict[str, Callable[[], Optimizer]] = {
    **REDUCED,
    "normalized-adaptive": NormalizedAdaptive,
}

# Parameters that may change where a fit goes on from the last one.
BUDGET = ("max_epochs", "max_time", "tol", "callbacks", "progress", "verbose", "n_threads")


@dataclass(kw_only=True, eq=False, repr=False)
class LinearEstimator(Coefficients, Estimator):
    """Parameters and fitting that linear and logistic regression share; see either of them."""

    max_epochs: int = 1000
    tol: float | Rule = 1e-8
    alpha: float | Literal["auto"] = "auto"
    l1_ratio: float = 0.0
    fit_intercept: bool = True
    optimizer: str | Optimizer = "auto"

    _takes_sparse = True
    _closed_form: ClassVar[bool]
    _number = 0, 1  # of the descent, and how many a fit takes

    def _check_parameters(self) -> None:
        if isinstance(self.alpha, str):
            require(self.alpha == "auto", _alpha_message(self.alpha))
        else:
            require_number("alpha", self.alpha, low=0)
        require_number("l1_ratio", self.l1_ratio, low=0, high=1)
        require_flags(self, "fit_intercept")
        require_number("max_epochs", self.max_epochs, low=0, whole=True)
        self._check_common()
        self._optimizer()

    def _optimizer(self) -> Optimizer | None:
        """The optimizer behind an instance or a name; None for "auto", which looks at the data."""
        if isinstance(self.optimizer, optim.Optimizer):
            return self.optimizer
        require_optimizer(self.optimizer)
        closed = ["closed-form"] if self._closed_form else []
        require(
            closed or self.optimizer != "closed-form",
            "optimizer='closed-form' is for the squared loss. Pass optimizer='auto'.",
        )
        names = ["auto", "newton", *VISITING, *closed, *map(str.lower, optim.__all__)]
        require_choice("optimizer", self.optimizer, names)
        if self.optimizer in ("auto", "closed-form"):
            return None
        if self.optimizer in VISITING:
            return VISITING[self.optimizer]()
        return Newton() if self.optimizer == "newton" else optim.by_name(self.optimizer)()

    def _suited(self, optimizer: Optimizer, full: bool) -> Optimizer:
        """The optimizer, refused where it cannot do what is asked."""
        require_batch(optimizer, full)
        require(
            full or not optimizer.visits,
            f"{type(optimizer).__name__} visits one row at a time. Pass batch_size='auto'.",
        )
        lasso = self.l1_ratio > 0 and self.alpha != 0
        require(
            optimizer.proximal or not lasso,
            f"{type(optimizer).__name__} has no proximal step for the L1 term. "
            "Pass l1_ratio=0, or optimizer='fista'.",
        )
        return optimizer

    def _fit(self, X: Any, y: Array, weights: Array, loss: Any, outputs: int) -> Self:
        """Descend on checked arrays; sets what every linear estimator has after `fit`."""
        rng = self._generator()
        X, y, weights = counted(X, y, weights)
        require_own(loss, y, outputs)
        train, other = self._split(X, y, weights, rng)
        train = Rows(train.X, train.y, train.weights / train.weights.mean())
        model, penalty = self._model(train, weights.sum(), loss, outputs)
        unit = unit_of(loss, train)
        if self.optimizer == "closed-form":
            require(
                not isinstance(X, CSR),
                "optimizer='closed-form' needs dense rows. Pass X.toarray(), or optimizer='auto'.",
            )
            require(
                isinstance(loss, Squared),
                "optimizer='closed-form' is for loss='squared' alone. Pass optimizer='auto'.",
            )
            from gdcore.models.least_squares import solve

            self._left: tuple[Any, Any] = None, None  # of a run by other parameters
            with self._hooks(self._as_of(model, X.dtype), 0) as hooks:
                hooks.begin(Plan(None, model.size, len(train), len(train), 0, self.max_time))
                result = solve(model, train, penalty, self.n_threads)
                result["choice"] = "as asked"
                hooks.end(result)
        else:
            cost = Cost(model, train, penalty, self.n_threads, unit)
            validate = held_out(model, other) if other is not None else None
            result = self._descend(cost, validate, rng)
            self._note_separation(cost, result)
        self._keep(result, model, X.dtype)
        return self

    def _model(
        self, rows: Any, mass: float, loss: Any, outputs: int
    ) -> tuple[LinearFamily, Penalty]:
        """(LinearFamily, Penalty) for rows whose weights sum to `mass`."""
        alpha = 1 / max(mass, 1e-300) if isinstance(self.alpha, str) else float(self.alpha)
        auto = self._rate() is None
        return coordinates(rows, loss, outputs, alpha, self, precondition=auto)

    def _fit_chunks(self, chunks: Any, passes: Any, about: Any, loss: Any, outputs: int) -> Self:
        """The same where rows are read in each pass."""

        def cost(model: LinearFamily, penalty: Penalty, unit: float) -> ChunkCost:
            return ChunkCost(model, about, passes, penalty, self.n_threads, unit)

        held = passes.held is not None
        return self._fit_surveyed(about, loss, outputs, cost, held, chunks.feature_names)

    def _fit_surveyed(
        self, about: Survey, loss: Any, outputs: int, make: Callable[..., Any], held: bool,
        names: Sequence[str] | None,
    ) -> Self:  # fmt: skip
        """The same where rows are elsewhere: on a cost that make(model, penalty, unit) gives."""
        require(
            self.optimizer != "closed-form",
            "optimizer='closed-form' needs rows in memory. Pass arrays, or optimizer='auto'.",
        )
        rng, self._glimpse = self._generator(), Glimpse()
        require_own(loss, about.y, outputs)
        model, penalty = self._model(about, about.weights.sum(), loss, outputs)
        cost = make(model, penalty, unit_of(loss, about))
        validate = cost.validate if held else None
        self._remember(about.X.shape[1], names)
        self._keep(self._descend(cost, validate, rng), model, about.X.dtype)
        return self

    @np.errstate(over="ignore", invalid="ignore")  # numbers beyond the doubles end as a result
    def _descend(
        self, cost: AnyCost, validate: Callable[[Array], Any] | None, rng: Generator
    ) -> Result:
        model = cost.model
        full = isinstance(self.batch_size, str) or self.batch_size >= len(cost)
        chosen, why = self._optimizer(), "as asked"
        if chosen is None:
            chosen, why = choose(cost, full)
        optimizer = self._suited(chosen, full)
        require(
            cost.penalty.smooth or not isinstance(optimizer, Newton) or cost.size <= MANY,
            f"optimizer='newton' takes an L1 term for up to {MANY} numbers in θ, and there are "
            f"{cost.size}. Pass optimizer='fista'.",
        )
        require(
            isinstance(cost, Cost) or not optimizer.visits,
            f"{type(optimizer).__name__} visits single rows and needs them in memory. Pass arrays, "
            "or optimizer='auto'.",
        )
        theta = self._start(model, cost.rows)
        if why != "as asked" and optimizer.searches and not self.warm_start:
            theta = head_start(cost, theta, optimizer)
        tol: Any = self.tol
        given = isinstance(tol, Rule)
        corner = hasattr(model.loss, "rounded") and why != "as asked" and full
        staged = corner and not given and tol > 0
        changes = dict(zip(("run", "runs"), self._number, strict=True))
        if staged:  # several descents on one budget
            changes["max_epochs"] = self.max_epochs
        known = self._as_of(model, cost.rows.X.dtype) if self._number[1] == 1 else None
        with self._hooks(known, self.max_epochs, **changes) as hooks:
            settings: dict[str, Any] = {
                "learning_rate": self._rate(), "max_epochs": self.max_epochs,
                "max_time": self._seconds(), "callbacks": hooks,
                "validate": validate, "patience": self._patience,
            }  # fmt: skip
            if staged:
                self._left = None, None
                result = corner_descent(cost, theta, optimizer, tol=tol, **settings)
            else:
                size = None if full else int(self.batch_size)
                stop = tol if given else stop_rule(tol, cost, optimizer, full)
                more: dict[str, Any] = {"batch_size": size, "stop": stop, "random_state": rng}
                left = self._recall(cost)
                result = descend(cost, theta, optimizer, resume=left, **more, **settings)
                self._leave(cost, result)
            result["choice"] = why
            hooks.end(result)
        return result

    def _descend_there(self, cost: Any, theta: Any, validate: Any, rng: Generator) -> Result:
        """The result of a descent on a cost whose rows are on a device."""
        full = isinstance(self.batch_size, str) or self.batch_size >= len(cost)
        optimizer, why = self._optimizer(), "as asked"
        if optimizer is None:
            optimizer, why = on_device.chosen(cost.penalty.smooth, full)
        with self._hooks(None, self.max_epochs) as hooks:
            result = descend(
                cost, theta, self._suited(optimizer, full), learning_rate=self._rate(),
                resume=self._recall(cost),
                batch_size=None if full else int(self.batch_size),
                stop=on_device.rule_for(self, cost, full), max_epochs=self.max_epochs,
                max_time=self.max_time, callbacks=hooks, random_state=rng,
                validate=validate, patience=self._patience,
            )  # fmt: skip
            self._leave(cost, result)
            result["choice"] = why
            on_device.tell(self, cost, result)
            hooks.end(result)
        self._note_separation(cost.on_host, result)
        return result

    def _keep_there(self, result: Result, coef: Any, intercept: Any) -> None:
        """What every linear estimator has after `fit`, as arrays of another library."""
        self._note(result)
        self._shape_coefficients(coef, intercept)
        coef, intercept = self.coef_, self.intercept_
        self.coef_, self.intercept_ = coef.array, intercept.array
        self._warn(result)

    def _seconds(self) -> float:
        """What is left of max_time."""
        return self.max_time

    def _recall(self, cost: Any) -> Any:
        """What an earlier fit of the same rows and parameters left when its budget was used up."""
        cost.resumable = self.warm_start and isinstance(cost, (Cost, DeviceCost))
        known, left = getattr(self, "_left", (None, None))
        self._left = None, None
        if not cost.resumable:
            return None
        self._mark = _place(cost), fingerprint(cost.rows), repr({
            name: value for name, value in self.get_params().items() if name not in BUDGET
        })  # fmt: skip
        if left is None or known != self._mark:
            return None
        where, made = left
        return where if self._still(made) else None

    def _still(self, made: tuple[Array, Array]) -> bool:
        """Whether the coefficients are those that a fit left, if they are of that shape at all."""
        now = np.atleast_2d(to_host(self.coef_)), np.atleast_1d(to_host(self.intercept_))
        pairs = [(one.astype(other.dtype), other) for one, other in zip(made, now, strict=True)]
        return made[0].shape != now[0].shape or all(np.array_equal(*pair) for pair in pairs)

    def _leave(self, cost: Any, result: Result) -> None:
        """Keep where the descent stood, if more of it may be asked for."""
        if cost.resumable:
            spent = result.status.name in ("EPOCHS", "TIME", "INTERRUPTED", "CALLBACK")
            coef, intercept = map(to_host, cost.model.original(result.x))
            left = cost.left, (coef, intercept)
            self._left = (self._mark, left) if spent else (None, None)

    def _note_separation(self, cost: Any, result: Result) -> None:
        """Classes that a plane separates have no finite minimum without a penalty: say so."""
        name = getattr(cost.model.loss, "name", "")
        if name not in ("logistic", "softmax") or not isinstance(cost, (Cost, Shown)):
            return
        if result.status is Status.INTERRUPTED:
            return
        result["separable"] = apart = separated(cost, to_host(result.x))
        if apart and not held(cost.model, cost.penalty):
            result.success = False
            result.message += (
                " The classes are separated by the columns: without a penalty the coefficients "
                "grow without end. Pass alpha > 0."
            )

    def _start(self, model: LinearFamily, train: Any) -> Array:
        """θ to start from: the last fit's with warm_start, else the best constant prediction."""
        k, p = model.outputs, model.features
        if self.warm_start and hasattr(self, "coef_"):
            coef, intercept = to_host(self.coef_), to_host(self.intercept_)
            coef = np.atleast_2d(np.asarray(coef, dtype=np.float64))
            if coef.shape == (k, p):
                return model.from_original(coef, np.reshape(intercept, (k,)).astype(float))
        theta = model.init()
        if self.fit_intercept and hasattr(model.loss, "constant"):
            theta[k * p :] = model.loss.constant(train.y, train.weights, k)
        return theta

    def _as_of(self, model: LinearFamily, dtype: Any) -> Callable[[Array], dict[str, Any]]:
        """θ → what a fit that ended there would have set."""

        def attributes(theta: Array) -> dict[str, Any]:
            other = copy.copy(self)
            coef, intercept = model.original(theta)
            other._shape_coefficients(coef.astype(dtype), intercept.astype(dtype))
            return {"coef_": other.coef_, "intercept_": other.intercept_, "_stream": None}

        return attributes

    def _note(self, result: Result) -> None:
        """What every linear estimator has after `fit` beside its coefficients."""
        signed(result, self)
        self.result_, self.trace_ = result, result.trace
        self.n_iter_ = int(result.trace.epoch[-1]) if len(result.trace) else 1

    def _keep(self, result: Result, model: LinearFamily, dtype: Any) -> None:
        coef, intercept = model.original(result.x)
        self._note(result)
        self._shape_coefficients(rounded(coef, dtype), rounded(intercept, dtype))
        self._warn(result)


def _place(cost: Any) -> tuple[str, str, str]:
    """Whose cost it is, of whose arrays, on which device."""
    X = cost.rows.X
    kind = type(getattr(X, "array", X)).__module__
    return type(cost).__name__, kind, str(getattr(X, "device", ""))


def rounded(values: Array, dtype: Any) -> Array:
    """The values in a precision that holds them: that of X, float64 where they are beyond it."""
    with np.errstate(over="ignore"):
        short: Array = values.astype(dtype)
    return short if np.isfinite(short).all() else values


def _alpha_message(alpha: object) -> str:
    return f"alpha must be a number or 'auto', got {alpha!r}. Pass 'auto' for 1/n."
