"""scikit-learn's callbacks: its contexts around a fit and its epochs, from its version 1.9 on.

scikit-learn is imported where `set_callbacks` was called, or where a pipeline has handed a context
down; its hooks are then called by a callback of ours.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, Self, TypeAlias, TypeVar, cast

from gdcore._typing import Array
from gdcore.errors import require

F = TypeVar("F", bound=Callable[..., Any])
WATCHED = ("_skl_callbacks", "_parent_callback_ctx")  # what scikit-learn leaves in an estimator
BUSY: set[tuple[int, int]] = set()  # (process, estimator) of fits on their way

Attributes: TypeAlias = Callable[[Array], dict[str, Any]] | None


class CallbackSupport:
    """`set_callbacks`, as scikit-learn's own estimators have it."""

    _watch: "Watch | None" = None

    def set_callbacks(self, *callbacks: object) -> Self:
        """Let callbacks of scikit-learn watch `fit`; returns the estimator.

        They hear of the fit and of each epoch, may ask for the estimator as fitted so far, and end
        the fit by True. Clones share them. Without an argument none are left. `partial_fit` tells
        them nothing. Those of gd.callbacks belong into the parameter `callbacks`.

        Parameters
        ----------
        *callbacks : objects with setup, on_fit_task_begin, on_fit_task_end and teardown

        Raises
        ------
        TypeError
            For what is no such object.
        ImportError
            Where scikit-learn is missing, or older than 1.9.
        """
        _support().set_callbacks(self, *callbacks)
        return self


def _support() -> Any:
    try:
        from sklearn.callback import CallbackSupportMixin
    except ImportError as error:
        raise ImportError(
            "set_callbacks takes scikit-learn's callbacks and needs its version 1.9. Install it: "
            "pip install 'scikit-learn>=1.9'; or pass callbacks=, which takes those of "
            "gd.callbacks."
        ) from error
    return CallbackSupportMixin


def at_once(learn: F, watched: bool = False) -> F:
    """A method that changes its estimator wholly or not at all, and is not called within itself;
    scikit-learn's callbacks may watch it."""

    @functools.wraps(learn)
    def learning(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        before, mark = dict(vars(self)), (os.getpid(), id(self))
        require(
            mark not in BUSY,
            f"This {type(self).__name__} is being fitted already, perhaps by the one that calls "
            "this callback. Fit a copy of it.",
        )
        try:
            BUSY.add(mark)
            asked = watched and not before.keys().isdisjoint(WATCHED)
            return (_watched(learn) if asked else learn)(self, X, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        finally:
            BUSY.discard(mark)

    return cast(F, learning)


def whole(fit: F) -> F:
    """The same for a fit."""
    return at_once(fit, watched=True)


def _watched(fit: Callable[..., Any]) -> Any:
    """The fit within scikit-learn's context, which ends by `teardown` whatever happens."""
    from sklearn.callback import with_callbacks

    def fitting(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        y, weights = ((*args, None, None)[:2]) if args else (None, None)
        y, weights = kwargs.get("y", y), kwargs.get("sample_weight", weights)
        self._watch = watch = Watch(self, X, y, weights)
        try:
            fit(self, X, *args, **kwargs)
        finally:
            del self._watch
        watch.finish()
        return self

    return with_callbacks(fitting)


class Watch:
    """The tasks of one fit as scikit-learn counts them: the fit, its descents where they are
    several, their epochs. A callback of the descents."""

    attributes: Attributes
    root: Any  # scikit-learn's contexts: of the fit, of a descent,
    level: Any
    task: Any  # and of the epoch that is on its way

    def __init__(self, estimator: Any, X: Any, y: Any, weights: Any) -> None:
        self.estimator, self.root, self.level, self.task = estimator, None, None, None
        known = y is not None  # chunks are no rows to be scored
        metadata = {} if weights is None else {"sample_weight": weights}
        self.given = {"X": X if known else None, "y": y, "metadata": metadata}

    def of(self, attributes: Attributes) -> Self:
        """The callback of one descent; attributes(θ) are those of the estimator fitted so far,
        None where there is no such."""
        self.attributes = attributes
        return self

    def on_begin(self, plan: Any) -> None:
        """The root's context with the first descent, which knows how many epochs there may be."""
        epochs = max(0, plan.max_epochs - plan.epoch)
        if self.root is None:
            most = plan.runs if plan.runs > 1 else epochs
            self.root = _support()._init_callback_context(self.estimator, max_subtasks=most)
            self._begin(self.root)
        self.level = self.root
        if plan.runs > 1:
            self.level = self.root.subcontext("descent", max_subtasks=epochs)
            self._begin(self.level)

    def _on_advance(self) -> None:
        self.task = self.level.subcontext("epoch")
        self._begin(self.task)

    def on_epoch(self, moment: Any) -> bool:
        """True where a callback asks to stop."""
        task, self.task = self.task, None
        return task is not None and self._end(task, moment.theta)

    def on_end(self, result: Any) -> None:
        """Close what Ctrl-C left open, and the descent where it is one of several."""
        if self.task is not None:
            self.on_epoch(_At(result.x))
        if self.level is not self.root:
            self._end(self.level, result.x)

    def finish(self) -> None:
        """The fit is over, and the estimator is what it became."""
        if self.root is not None:
            self.root.call_on_fit_task_end(
                estimator=self.estimator, **self.given, reconstruction_attributes=dict
            )

    def _begin(self, context: Any) -> None:
        context.call_on_fit_task_begin(estimator=self.estimator, **self.given)

    def _end(self, context: Any, theta: Array) -> Any:
        known = None
        if self.attributes is not None:
            known = lambda: {"_watch": None, **self.attributes(theta)}  # noqa: E731
        return context.call_on_fit_task_end(
            estimator=self.estimator, **self.given, reconstruction_attributes=known
        )


class _At:
    """A moment that is nothing but a θ."""

    def __init__(self, theta: Array) -> None:
        self.theta = theta
