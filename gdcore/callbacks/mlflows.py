"""A fit as a run of MLflow."""

import math
from dataclasses import dataclass, fields
from typing import Any

from gdcore._typing import NOTHING
from gdcore.convergence import Moment, Status
from gdcore.errors import require, require_number
from gdcore.hooks import Plan, Watcher
from gdcore.result import Result


@dataclass(eq=False)
class MLflow(Watcher):
    """Log a fit to MLflow: parameters, metrics by step, and how it ended (gdcore[mlflow]).

    Goes into the run that is active, else into one of its own, which ends with the fit: as
    FINISHED, as KILLED after Ctrl-C, as FAILED where the descent diverged or an exception ended it.
    Restarts, and the classes of one fit, are nested runs from the second on. Metrics: cost,
    gradient_norm, learning_rate, validation and score, where measured; at the end final_cost, and
    the tags gdcore.status and gdcore.message.

    Parameters
    ----------
    experiment, run_name : str, optional
        Of a run of its own.
    tags : dict, optional
    every : int
        Epochs from one row of metrics to the next.

    Raises
    ------
    ImportError
        Before the first step, where mlflow is not installed.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.callbacks.MLflow(experiment="lines", every=10)
    MLflow(experiment='lines', run_name=None, tags=None, every=10)
    """

    experiment: str | None = None
    run_name: str | None = None
    tags: dict[str, Any] | None = None
    every: int = 1

    _client, _own = NOTHING, False

    def __post_init__(self) -> None:
        for name in ("experiment", "run_name"):
            value = getattr(self, name)
            require(
                value is None or isinstance(value, str),
                f"{name} must be a text or None, got {value!r}. Pass a name.",
            )
        require(
            self.tags is None or isinstance(self.tags, dict),
            f"tags must be a dict, got {self.tags!r}. Pass names and values.",
        )
        require_number("every", self.every, low=1, whole=True)

    def on_begin(self, plan: Plan) -> None:
        """Begin a run, if there is none, and log the parameters."""
        self._client = mlflow = _mlflow()
        active = mlflow.active_run() is not None
        self._own = not active or plan.run > 0
        if self._own:
            if self.experiment is not None and not active:
                mlflow.set_experiment(self.experiment)
            mlflow.start_run(run_name=self.run_name, nested=active)
        if self.tags:
            mlflow.set_tags(self.tags)
        mlflow.log_params(_parameters(plan))

    def on_epoch(self, moment: Moment) -> None:
        """Log the metrics where they are due."""
        if moment.epoch % self.every == 0:
            names = ("cost", "gradient_norm", "learning_rate", "validation", "score")
            values = {name: float(getattr(moment, name)) for name in names}
            known = {name: value for name, value in values.items() if math.isfinite(value)}
            self._client.log_metrics(known, step=int(moment.step))

    def on_end(self, result: Result[Any]) -> None:
        """Log how it ended, and end a run of its own."""
        status = result.status
        self._client.set_tags({"gdcore.status": status.name, "gdcore.message": result.message})
        if math.isfinite(result.fun):
            self._client.log_metrics({"final_cost": float(result.fun)}, step=int(result.nit))
        known = {Status.INTERRUPTED: "KILLED", Status.DIVERGED: "FAILED"}
        self._finish(known.get(status, "FINISHED"))

    def on_error(self, error: BaseException) -> None:
        """End a run of its own as failed."""
        self._finish("FAILED")

    def _finish(self, status: str) -> None:
        client, own, self._client, self._own = self._client, self._own, None, False
        if own:
            client.end_run(status)


def _mlflow() -> Any:
    try:
        import mlflow
    except ImportError as error:
        raise ImportError(
            "gd.callbacks.MLflow needs mlflow. Install it: pip install gdcore[mlflow]"
        ) from error
    return mlflow


def _parameters(plan: Plan) -> dict[str, Any]:
    """What MLflow is to know of a plan: numbers and words."""
    rule: Any = plan.optimizer
    known = {"optimizer": "closed-form" if rule is None else type(rule).__name__}
    for field in fields(rule) if rule is not None and hasattr(rule, "__dataclass_fields__") else ():
        known[f"optimizer.{field.name}"] = getattr(rule, field.name)
    names = ("size", "examples", "batch_size", "max_epochs", "max_time")
    return known | {name: getattr(plan, name) for name in names}
