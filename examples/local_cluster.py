"""Two worker processes on this machine, each with rows of its own: python examples/local_cluster.py

On a real cluster the three lines between the marks change, and nothing else. By SSH:

    from distributed import SSHCluster
    cluster = SSHCluster(["head", "node1", "node2"])
    client = Client(cluster)

On Kubernetes (pip install dask-kubernetes):

    from dask_kubernetes.operator import KubeCluster
    cluster = KubeCluster(name="gdcore", image="an-image-with-gdcore", n_workers=10)
    client = Client(cluster)

On SLURM (pip install dask-jobqueue), each job a worker with all of a node's cores as threads:

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=32, processes=1, memory="120GB", walltime="01:00:00", n_workers=10)
    client = Client(cluster)

The workers need gdcore installed, too.
"""

import dask
import numpy as np
from distributed import Client


def part(number, rows=50_000, columns=20):
    """Rows of one partition; in earnest they would be read from a file of its own."""
    rng = np.random.default_rng(number)
    X = rng.normal(size=(rows, columns))
    return X, X @ np.linspace(-1, 1, columns) + rng.logistic(size=rows) > 0


def main():
    # the three lines
    from distributed import LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    client = Client(cluster)
    # the three lines

    import gdcore as gd

    parts = [dask.delayed(part)(number) for number in range(8)]  # made where they are needed
    model = gd.distributed.LogisticRegression(client=client, verbose=0).fit(parts)
    print(model.result_.message)
    print(f"{model.result_.nit} steps of {model.result_.choice}")
    print(model.coef_.round(2))
    model.to_local()  # needs no cluster to predict, to be saved or to learn on

    client.close()
    cluster.close()


if __name__ == "__main__":  # worker processes import this file
    main()
