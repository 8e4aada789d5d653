"""Make sklearn.npz: the optimizers inside scikit-learn's networks, on fixed gradients.

Run by hand with scikit-learn installed: python -m tests.reference.make_sklearn
"""

import numpy as np

from tests.reference.problem import Case, everything, follow, path_of, rate, start

BALL = {"lr": 0.03, "momentum": 0.9}
LIKE = {"like": "sklearn"}
ADAM = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6}
CASES = {
    "momentum": Case("SGDOptimizer", {"nesterov": False}, "Momentum", BALL | LIKE, changing=True),
    "nesterov": Case("SGDOptimizer", {"nesterov": True}, "Nesterov", BALL | LIKE, changing=True),
    "adam": Case(
        "AdamOptimizer",
        {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6},
        "Adam",
        ADAM | {"eps_mode": "hat"},
    ),
    "adam, like": Case(
        "AdamOptimizer", {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6}, "Adam", ADAM | LIKE
    ),
}


def trajectory(case, dtype):
    """θ after the KEPT steps."""
    from sklearn.neural_network import _stochastic_optimizers as peers

    theta, lr = start(dtype), case.ours["lr"]
    rule = getattr(peers, case.peer)([theta], learning_rate_init=lr, **case.settings)

    def step(t, g):
        rule.learning_rate = rate(case, lr, t)
        rule.update_params([theta], [g])
        return theta.copy()

    return follow(case, dtype, step)


if __name__ == "__main__":
    np.savez_compressed(path_of("sklearn"), **everything(CASES, trajectory))
