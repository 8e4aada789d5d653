"""gdcore's epoch of stochastic descent on 300,000 × 54, and the check that its peers do the same.

gdcore mixes rows in windows of 1,024, which reads memory by the block (see `visiting_order`);
the peers permute all of them, and a row of the table shows gdcore doing that, too.
"""

import numpy as np

import gdcore as gd
from benchmarks.problem import cost_of, examples, numpy_cost
from gdcore.data import visiting_order

LR = 0.01
SIZE = "300,000 × 54 float64"
PERMUTED = "gdcore: all rows permuted, as its peers do"


def data(setting):
    return examples(20_000 if setting.smoke else 300_000, 54)


def ours(X, y, batch_size, ridge):
    """{contender: what `descend` does in an epoch at a given rate, from θ = 0; returns θ}."""
    cost, sgd, rng = cost_of(X, y, ridge), gd.optim.SGD(LR), np.random.default_rng(0)
    batches = -(-len(X) // batch_size)

    def run(order):
        theta = cost.model.init()
        rates = np.full(batches, LR)
        cost.sweep(
            theta, sgd, sgd.init(theta), order=order, rates=rates, batch_size=batch_size,
            average=theta[:0],
        )  # fmt: skip
        return theta

    return {
        "gdcore": lambda: run(visiting_order(len(X), rng)),
        PERMUTED: lambda: run(rng.permutation(len(X))),
    }


def agree(X, y, contenders):
    """After one epoch all are about as good, and better than no model at all."""
    costs = [numpy_cost(X, y, run())[0] for run in contenders]
    assert max(costs) < min(1.05 * min(costs), np.log(2)), costs
