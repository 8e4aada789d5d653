"""Make keras.npz: Keras 3's optimizers on problem.py's gradients, on the JAX backend.

Run by hand with Keras and JAX installed: python -m tests.reference.make_keras
On PyTorch's backend Keras takes other code for the same rules.
"""

import os

import numpy as np

from tests.reference.problem import Case, everything, follow, path_of, rate, start

LR = {"learning_rate": 0.1}
BETAS = LR | {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6}
OURS = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6}
RMS = {"learning_rate": 0.05, "rho": 0.95, "epsilon": 1e-6}
OUR_RMS = {"lr": 0.05, "decay": 0.95, "eps": 1e-6}
BALL, OUR_BALL = {"learning_rate": 0.03, "momentum": 0.9}, {"lr": 0.03, "momentum": 0.9}
LIKE, HAT, INSIDE = {"like": "keras"}, {"eps_mode": "hat"}, {"eps_mode": "inside"}
CASES = {
    "sgd": Case("SGD", {"learning_rate": 0.03}, "SGD", {"lr": 0.03}),
    "momentum": Case("SGD", BALL, "Momentum", OUR_BALL | LIKE, changing=True),
    "momentum, in the buffer": Case(
        "SGD", BALL, "Momentum", OUR_BALL | {"lr_in_buffer": True}, changing=True
    ),
    "nesterov": Case("SGD", BALL | {"nesterov": True}, "Nesterov", OUR_BALL | LIKE, changing=True),
    "adagrad": Case("Adagrad", LR, "AdaGrad", LIKE | {"lr": 0.1}),
    "adagrad, start": Case(
        "Adagrad",
        LR | {"initial_accumulator_value": 0.2, "epsilon": 1e-4},
        "AdaGrad",
        INSIDE | {"lr": 0.1, "initial_accumulator": 0.2, "eps": 1e-4},
    ),
    "adadelta": Case(
        "Adadelta",
        {"learning_rate": 1.0, "epsilon": 1e-4},
        "AdaDelta",
        LIKE | {"lr": 1.0, "eps": 1e-4},
    ),
    "rmsprop": Case("RMSprop", RMS, "RMSProp", OUR_RMS | LIKE),
    "rmsprop, centered": Case(
        "RMSprop", RMS | {"centered": True}, "RMSProp", OUR_RMS | LIKE | {"centered": True}
    ),
    "rmsprop, momentum": Case(
        "RMSprop",
        RMS | {"momentum": 0.9},
        "RMSProp",
        OUR_RMS | LIKE | {"momentum": 0.9},
        changing=True,
    ),
    "rmsprop, centered, momentum": Case(
        "RMSprop",
        RMS | {"momentum": 0.9, "centered": True},
        "RMSProp",
        OUR_RMS | INSIDE | {"momentum": 0.9, "centered": True, "lr_in_buffer": True},
        changing=True,
    ),
    "adam": Case("Adam", BETAS, "Adam", OURS | LIKE, changing=True),
    "adam, hat": Case("Adam", BETAS, "Adam", OURS | HAT),
    "amsgrad": Case("Adam", BETAS | {"amsgrad": True}, "AMSGrad", OURS | LIKE),
    "amsgrad, hat": Case("Adam", BETAS | {"amsgrad": True}, "AMSGrad", OURS | HAT),
    "adamw": Case("AdamW", BETAS | {"weight_decay": 0.05}, "AdamW", OURS | LIKE | {"decay": 0.05}),
    "nadam": Case("Nadam", BETAS, "NAdam", OURS | LIKE),
    "nadam, psi": Case("Nadam", BETAS, "NAdam", OURS | {"psi": 1.0}),
    "adamax": Case("Adamax", BETAS, "AdaMax", OURS | LIKE),
    "adamax, outside": Case("Adamax", BETAS, "AdaMax", OURS | {"eps_mode": "outside"}),
    "lion": Case(
        "Lion",
        {"learning_rate": 0.01, "weight_decay": 0.05},
        "Lion",
        {"lr": 0.01, "decay": 0.05},
        changing=True,
    ),
}


def trajectory(case, dtype):
    """θ after the KEPT steps."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    jax.config.update("jax_enable_x64", dtype == np.float64)
    keras.config.set_floatx(np.dtype(dtype).name)  # of the rate and the step's powers, too
    theta = keras.Variable(start(dtype), dtype=np.dtype(dtype).name)
    rule = getattr(keras.optimizers, case.peer)(**case.settings)
    rule.build([theta])

    def step(t, g):
        rule.learning_rate = rate(case, case.settings["learning_rate"], t)
        rule.apply([jax.numpy.asarray(g)], [theta])
        return np.asarray(theta.value)

    return follow(case, dtype, step)


if __name__ == "__main__":
    np.savez_compressed(path_of("keras"), **everything(CASES, trajectory))
