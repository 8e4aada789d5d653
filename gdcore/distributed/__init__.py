"""The same cost, summed over the workers of a Dask cluster: `pip install 'gdcore[dask]'`.

`descend`, every optimizer and every rule work on it as on a local cost; the estimators take Dask
collections where those of gdcore take arrays. `gd.chunks` and memory maps come first: see
docs/scale.md for the size from where on a cluster pays.
"""

from gdcore.distributed.cost import DaskCost
from gdcore.distributed.linear import LinearRegression, LogisticRegression
from gdcore.distributed.mlp import MLPClassifier, MLPRegressor
from gdcore.distributed.network import DaskNetworkCost
from gdcore.distributed.rows import DaskRows
from gdcore.errors import LostError

__all__ = [
    "DaskCost",
    "DaskNetworkCost",
    "DaskRows",
    "LinearRegression",
    "LogisticRegression",
    "LostError",
    "MLPClassifier",
    "MLPRegressor",
]
