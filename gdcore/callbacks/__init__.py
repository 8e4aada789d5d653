"""Callbacks to pass as `callbacks=`: stop early, keep checkpoints, write logs, show progress.

Each may be passed to an estimator, to `descend`, `minimize` and `GPT.fit`. An estimator keeps them
as a parameter: they are pickled, and cloned by scikit-learn, without what a run has left in them.
In a search each clone tells a copy of its own.
"""

from gdcore.callbacks.checkpoints import Checkpoint, load_checkpoint
from gdcore.callbacks.logs import CSVLogger
from gdcore.callbacks.mlflows import MLflow
from gdcore.callbacks.stopping import EarlyStopping, TimeLimit
from gdcore.hooks import Callback
from gdcore.progress import Progress

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "MLflow",
    "Progress",
    "TimeLimit",
    "load_checkpoint",
]
