"""Make optax.npz: optax's optimizers on problem.py's gradients; under x64 for float64 alone.

Run by hand with optax installed: python -m tests.reference.make_optax
"""

import numpy as np

from tests.reference.problem import (
    KEPT,
    Case,
    costs,
    everything,
    flat,
    follow,
    path_of,
    rate,
    split,
    start,
)

LR = {"learning_rate": 0.1}
BETAS = LR | {"b1": 0.9, "b2": 0.99, "eps": 1e-6}
OURS = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6}
RMS = {"learning_rate": 0.05, "decay": 0.95, "eps": 1e-6}
OUR_RMS = {"lr": 0.05, "decay": 0.95, "eps": 1e-6}
BALL, OUR_BALL = {"learning_rate": 0.03, "momentum": 0.9}, {"lr": 0.03, "momentum": 0.9}
INSIDE, LIKE = {"eps_mode": "inside"}, {"like": "optax"}
MIXED = ((4, 5), (4,))
CASES = {
    "sgd": Case("sgd", {"learning_rate": 0.03}, "SGD", {"lr": 0.03}),
    "momentum": Case("sgd", BALL, "Momentum", OUR_BALL | LIKE, changing=True),
    "nesterov": Case("sgd", BALL | {"nesterov": True}, "Nesterov", OUR_BALL | LIKE, changing=True),
    "adagrad": Case("adagrad", LR, "AdaGrad", LIKE | {"lr": 0.1}),
    "adagrad, from zero": Case(
        "adagrad", LR | {"initial_accumulator_value": 0.0, "eps": 1e-4},
        "AdaGrad", INSIDE | {"lr": 0.1, "eps": 1e-4},
    ),
    "adadelta": Case(
        "adadelta", {"learning_rate": 1.0, "rho": 0.9, "eps": 1e-4},
        "AdaDelta", LIKE | {"lr": 1.0, "decay": 0.9, "eps": 1e-4},
    ),
    "rmsprop": Case("rmsprop", RMS, "RMSProp", OUR_RMS | LIKE),
    "rmsprop, inside": Case("rmsprop", RMS, "RMSProp", OUR_RMS | INSIDE),
    "rmsprop, outside": Case("rmsprop", RMS | {"eps_in_sqrt": False}, "RMSProp", OUR_RMS),
    "rmsprop, centered": Case(
        "rmsprop", RMS | {"centered": True}, "RMSProp", OUR_RMS | LIKE | {"centered": True}
    ),
    "rmsprop, momentum": Case(
        "rmsprop", RMS | {"momentum": 0.9},
        "RMSProp", OUR_RMS | LIKE | {"momentum": 0.9}, changing=True,
    ),
    "rmsprop, centered, momentum": Case(
        "rmsprop", RMS | {"momentum": 0.9, "centered": True, "eps_in_sqrt": False},
        "RMSProp", OUR_RMS | {"momentum": 0.9, "centered": True, "lr_in_buffer": True},
        changing=True,
    ),
    "rmsprop, as TensorFlow 1": Case(
        "rmsprop", RMS | {"initial_scale": 1.0},
        "RMSProp", OUR_RMS | INSIDE | {"initial_accumulator": 1.0},
    ),
    "rmsprop, corrected": Case(
        "rmsprop", RMS | {"bias_correction": True, "eps_in_sqrt": False},
        "RMSProp", OUR_RMS | {"bias_correction": True},
    ),
    "adam": Case("adam", BETAS, "Adam", OURS | LIKE, changing=True),
    "adam, inside": Case("adam", BETAS | {"eps": 0.0, "eps_root": 1e-6}, "Adam", OURS | INSIDE),
    "amsgrad": Case("amsgrad", BETAS, "AMSGrad", OURS | LIKE),
    "amsgrad, corrected": Case("amsgrad", BETAS, "AMSGrad", OURS | {"maximum": "corrected"}),
    "adamw": Case("adamw", BETAS | {"weight_decay": 0.05}, "AdamW", OURS | LIKE | {"decay": 0.05}),
    "nadam": Case("nadam", BETAS, "NAdam", OURS | LIKE),
    "nadam, constant": Case("nadam", BETAS, "NAdam", OURS | {"psi": None}),
    "radam": Case("radam", BETAS, "RAdam", OURS | LIKE),
    "radam, threshold": Case(
        "radam", BETAS | {"threshold": 7.0},
        "RAdam", OURS | {"eps_mode": "outside", "threshold": 7.0, "strict": False},
    ),
    "adamax": Case("adamax", BETAS, "AdaMax", OURS | LIKE),
    "lion": Case(
        "lion", {"learning_rate": 0.01, "b1": 0.9, "b2": 0.99, "weight_decay": 0.05},
        "Lion", {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "decay": 0.05}, changing=True,
    ),
    # Not with optax's scaling s: it enters ‖g‖², too, and makes the step 1/s as long, not s.
    "polyak": Case(
        "polyak_sgd", {"max_learning_rate": 0.02, "f_min": 0.5},
        "Polyak", {"minimum": 0.5, "max_step": 0.02}, costs=True,
    ),
    "dowg": Case("contrib.dowg", {"learning_rate": 0.5}, "DoWG", {"lr": 0.5}),
    "dowg, eps": Case(
        "contrib.dowg", {"learning_rate": 1.0, "eps": 10.0}, "DoWG", {"lr": 1.0, "eps": 10.0}
    ),
    "muon": Case(
        "contrib.muon", {"learning_rate": 0.02, "weight_decay": 0.1},
        "Muon", {"like": "optax", "lr": 0.02, "decay": 0.1}, shapes=((4, 6),),
    ),
    "muon, tall": Case(
        "contrib.muon", {"learning_rate": 0.02, "nesterov": False, "beta": 0.8},
        "Muon", {"like": "optax", "lr": 0.02, "nesterov": False, "momentum": 0.8},
        shapes=((6, 4),),
    ),
    "schedule-free sgd": Case(
        "contrib.schedule_free_sgd", {"learning_rate": 0.1},
        "ScheduleFreeSGD", {"lr": 0.1}, average=True,
    ),
    "schedule-free adamw": Case(
        "contrib.schedule_free_adamw", {"learning_rate": 0.1, "b2": 0.99, "weight_decay": 0.1},
        "ScheduleFreeAdamW", {"lr": 0.1, "beta2": 0.99, "decay": 0.1}, average=True,
    ),
}  # fmt: skip


def rule_of(case):
    """The peer's rule; one whose rate falls gets it as a function of the step."""
    import optax

    module, _, name = case.peer.rpartition(".")
    settings = dict(case.settings)
    if case.changing:
        lr = settings["learning_rate"]
        settings["learning_rate"] = lambda t: rate(case, lr, t.astype(float))  # not t/50 in float32
    return getattr(optax.contrib if module else optax, name)(**settings)


def trajectory(case, dtype):
    """θ after the KEPT steps, and beside it the average that Schedule-Free answers with."""
    import jax
    import optax
    import optax.contrib

    jax.config.update("jax_enable_x64", dtype == np.float64)
    theta = [jax.numpy.asarray(part) for part in split(start(dtype), case.shapes)]
    rule, values = rule_of(case), costs()
    state = rule.init(theta)

    @jax.jit
    def move(theta, state, slopes, value):
        more = {"value": value} if case.costs else {}
        moves, state = rule.update(slopes, state, theta, **more)
        return optax.apply_updates(theta, moves), state

    def step(t, g):
        nonlocal theta, state
        theta, state = move(theta, state, split(g, case.shapes), dtype(values[t]))
        if not case.average or t not in KEPT:
            return flat(theta)
        return flat([*theta, *optax.contrib.schedule_free_eval_params(state, theta)])

    return follow(case, dtype, step)


if __name__ == "__main__":
    np.savez_compressed(path_of("optax"), **everything(CASES, trajectory))
