"""A cluster inside this process, to try things out: python examples/one_process.py"""

import dask.array as da
from distributed import Client

import gdcore as gd

with Client(processes=False, dashboard_address=":0") as client:
    data = gd.datasets.load_breast_cancer()
    X, y = da.from_array(data.X, chunks=(100, -1)), da.from_array(data.y, chunks=100)

    model = gd.distributed.LogisticRegression(client=client).fit(X, y)
    print(model.result_.message)
    print(f"accuracy {model.score(X, y):.3f}")
    print(model.predict_proba(X)[:3].compute().round(3))  # lazy until it is asked for
