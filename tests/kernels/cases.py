"""Sample arguments of every kernel. A new kernel needs one line in CASES; the rest is found."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.kernels.samples import (
    attention,
    attention_backward,
    matrices,
    naming,
    one_place,
    packed,
    packing,
    sparse,
    sparse_gathering,
    sparse_moments,
    sparse_rows,
    sparse_twice,
)
from tests.kernels.twins import LOSSES, RULES

ROWS, COLUMNS, CLASSES = 37, 5, 3
KNOBS = {"huber": (0.8, 0.0), "quantile": (0.3, 0.2), "hinge": (0.0, 0.5)}  # shape and smooth


@dataclass(frozen=True)
class Case:
    """How to call one kernel, and how near its twins are.

    `changes` names the arrays it writes. `free` names the arrays whose dtype or length no other
    argument fixes. `near` is the largest difference between the twins relative to the largest
    number of the array, for float32 and float64; 0 is to the bit. `strided` names the arrays that
    may lie in memory otherwise than row by row.
    """

    arguments: Callable
    changes: tuple = ()
    free: tuple = ()
    near: tuple = (0, 0)
    strided: tuple = ()


def vectors(names, **numbers):
    """Arrays of one length; v, a mean of squares, is not negative."""

    def arguments(dtype, n=ROWS, seed=0):
        rng = np.random.default_rng(seed)
        arrays = {name: rng.normal(size=n).astype(dtype) for name in names.split()}
        return {name: abs(a) if name == "v" else a for name, a in arrays.items()} | numbers

    return arguments


def doubles(arguments):
    """The same arguments whatever the precision asked for."""
    return lambda dtype: arguments(np.float64)


def pairs(dtype, n=ROWS, memory=4, newest=1, count=3):
    """What L-BFGS remembers of a quadratic, and a gradient; always in double."""
    rng = np.random.default_rng(0)
    S = rng.normal(size=(memory, n))
    Y = S * np.geomspace(0.1, 10, n)
    arrays = {"g": rng.normal(size=n), "S": S, "Y": Y, "rho": 1 / (S * Y).sum(axis=1)}
    return arrays | {"newest": newest, "count": count, "d": np.zeros(n)}


def new_pair(dtype):
    """Two points of the same quadratic, their gradients, and what is remembered."""
    known = pairs(dtype)
    x, before = np.random.default_rng(1).normal(size=(2, ROWS))
    points = {"x": x, "before": before, "g": x * np.geomspace(0.1, 10, ROWS)}
    points["was"] = before * np.geomspace(0.1, 10, ROWS)
    return points | {name: known[name] for name in ("S", "Y", "rho")} | {"row": 2, "caution": 1e-10}


def bowl(x, g):
    """A quadratic, as the kernels ask for it."""
    curvature = np.geomspace(0.1, 10, len(x))
    g[:] = curvature * x
    return 0.5 * float(curvature @ x**2)


def wolfe(dtype):
    """A point of the quadratic whose pairs are known."""
    known, x = pairs(dtype), np.random.default_rng(1).normal(size=ROWS)
    g = np.empty(ROWS)
    given = {"evaluate": bowl, "x": x, "value": bowl(x, g), "g": g, "pairs": 2, "caution": 1e-10}
    given |= {"x_new": np.zeros(ROWS), "g_new": np.zeros(ROWS)}
    return given | {name: known[name] for name in ("S", "Y", "rho")}


def tables(out):
    """Z with rows and columns, and out of the shape that `out` says."""

    def arguments(dtype):
        Z = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(dtype)
        return {"Z": Z, "out": np.empty(out, dtype)}

    return arguments


def examples(loss, dtype=np.float64, n=ROWS, p=COLUMNS, k=None, seed=0):
    """X, y, weights, columns, theta and g for the linear family, shifted, scaled and penalised."""
    rng = np.random.default_rng(seed)
    k = k or (CLASSES if loss == "softmax" else 1)
    columns = np.abs(rng.normal(size=(4, p + 1))) + 0.5
    columns[0] = rng.normal(size=p + 1)
    columns[2:] *= 0.01
    columns[1, p] = 1  # with an intercept
    columns[[0, 2, 3], p] = 0
    targets = {
        "squared": lambda: rng.normal(size=n),
        "softmax": lambda: rng.integers(0, k, n).astype(np.float64),
        "huber": lambda: rng.normal(size=n),
        "quantile": lambda: rng.normal(size=n),
        "poisson": lambda: rng.integers(0, 4, n).astype(np.float64),
        "gamma": lambda: rng.uniform(0.1, 3, n),
    }
    two = targets.get(loss, lambda: rng.integers(0, 2, n).astype(np.float64))
    return {
        "loss": loss,
        "shape": KNOBS.get(loss, (0.0, 0.0))[0],
        "smooth": KNOBS.get(loss, (0.0, 0.0))[1],
        "X": rng.normal(size=(n, p)).astype(dtype),
        "y": two(),
        "weights": rng.uniform(0.1, 2, n),
        "columns": columns,
        "theta": rng.normal(size=k * (p + 1)),
        "g": rng.normal(size=k * (p + 1)),
        "margins": np.zeros((n, k)),
    }


CONSTANTS = {
    "sgd": (),
    "momentum": (0.9,),
    "nesterov": (0.9,),
    "adagrad": (1e-8,),
    "rmsprop": (0.95, 1e-8),
    "adam": (0.9, 0.99, 1e-8),
    "adamw": (0.9, 0.99, 1e-8, 0.1),
}
MOMENTS = {
    "sgd": 0,
    "momentum": 1,
    "nesterov": 1,
    "adagrad": 1,
    "rmsprop": 1,
    "adam": 2,
    "adamw": 2,
}


def steps(loss, dtype=np.float64, rule="adam", batch_size=8, *, lasso=True, **shape):
    """The arguments of an epoch over `examples`, as if `first_step` − 1 steps were done."""
    work = examples(loss, dtype, **shape)
    rng, n, size = np.random.default_rng(1), len(work["y"]), len(work.pop("g"))
    del work["margins"]
    work["columns"][3] *= lasso
    return work | {
        "order": rng.permutation(n),
        "state": 0.1 + np.abs(rng.normal(size=(MOMENTS[rule], size))),
        "average": rng.normal(size=size),
        "rule": rule,
        "constants": np.array(CONSTANTS[rule]),
        "rates": np.linspace(0.02, 0.01, -(-n // batch_size)),
        "first_step": 3,
        "batch_size": batch_size,
    }


def gradient(loss):
    near = (1e-5, 1e-13)
    return Case(lambda dtype: examples(loss, dtype), ("g", "margins"), ("X",), near=near)


def margins(dtype):
    work = examples("softmax", dtype)
    return {name: work[name] for name in ("X", "columns", "theta", "margins")}


def losses(loss):
    """Margins of which some are far out, at more rows than a block has; always in double."""
    n, k = 100, CLASSES if loss == "softmax" else 1

    def arguments(dtype):
        rng = np.random.default_rng(3)
        z, kinds = rng.normal(size=(n, k)) * np.geomspace(1, 30, n)[:, None], max(2, k)
        y = rng.integers(0, kinds, n) + (0.5 if loss == "gamma" else 0.0)
        shape, smooth = KNOBS.get(loss, (0.0, 0.0))
        room = {"lost": np.zeros(n), "r": np.zeros((n, k))}
        return {"loss": loss, "shape": shape, "smooth": smooth, "z": z, "y": y} | room

    return Case(arguments, ("lost", "r"), near=(1e-13, 1e-13))


def moments(dtype):
    work = examples("squared", dtype)
    H = np.random.default_rng(2).normal(size=(COLUMNS + 1, COLUMNS + 1))
    return {"X": work["X"], "bends": work["weights"], "columns": work["columns"], "H": H}


def sparse_examples(loss, dtype):
    work = examples(loss, dtype, n=ROWS + 1)
    del work["X"]
    return work | sparse(dtype, ROWS, COLUMNS)


def csr_case(loss):
    near = (1e-5, 1e-12)
    return Case(lambda d: sparse_examples(loss, d), ("g", "margins"), ("data",), near=near)


def sparse_steps(loss, dtype, batch_size=5):
    """The arguments of an epoch over rows in CSR form, with a shift and one ridge weight."""
    work = sparse_examples(loss, dtype)
    rng, n = np.random.default_rng(1), ROWS + 1
    work["columns"][2, :-1], work["columns"][3] = 0.02, 0
    rates = np.linspace(0.02, 0.01, -(-n // batch_size))
    given = {name: value for name, value in work.items() if name not in ("g", "margins")}
    given |= {"order": rng.permutation(n), "average": rng.normal(size=len(work["theta"]))}
    return given | {"rates": rates, "batch_size": batch_size}


def sparse_epoch(loss):
    changes = ("theta", "average")
    return Case(lambda d: sparse_steps(loss, d), changes, ("data",), near=(1e-12, 1e-12))


def corrected(loss, sparse=False):
    """A pass of variance-reduced steps from a point whose margins are another's."""

    def arguments(dtype):
        work = sparse_examples(loss, dtype) if sparse else examples(loss, dtype)
        rng, size = np.random.default_rng(1), work["margins"].shape
        if sparse:
            work["columns"][0] = 0
        work |= {"order": rng.integers(0, size[0], 50), "margins": rng.normal(size=size)}
        return work | {"mean": work.pop("g") / 10, "rate": 0.005, "learn": 1}

    free, near = ("data",) if sparse else ("X",), (1e-12, 1e-12)
    return Case(arguments, ("theta", "margins", "mean"), free, near=near)


def of_sparse(*names, **more):
    """Those of the arguments of a gradient over rows in CSR form, three outputs, and others."""

    def arguments(dtype):
        work = sparse_examples("softmax", dtype)
        kept = ("data", "indices", "indptr", "columns", *names)
        return {name: work[name] for name in kept} | {n: make() for n, make in more.items()}

    return arguments


def spread(dtype):
    work = examples("squared", dtype)
    room = {name: np.ones(COLUMNS) for name in ("mean", "square", "low", "high")}
    return {"X": work["X"], "weights": work["weights"]} | room


def rows(dtype):
    work = examples("squared", dtype)
    return {"X": work["X"], "columns": work["columns"], "lengths": np.ones(ROWS)}


def lasso_problem(dtype, n=6):
    """A quadratic, a point, and a lasso that makes some coordinates of the step's end zero."""
    rng = np.random.default_rng(4)
    A = rng.normal(size=(20, n))
    vectors = {"g": rng.normal(size=n), "theta": rng.normal(size=n), "step": np.ones(n)}
    more = {"lasso": np.full(n, 0.3), "sweeps": 200, "tolerance": 1e-12}
    return {"H": A.T @ A / 20} | vectors | more


def combining(dtype):
    work = examples("softmax", dtype)
    slopes = np.random.default_rng(2).normal(size=work["margins"].shape)
    return {"X": work["X"], "slopes": slopes, "columns": work["columns"], "g": work["g"]}


def epoch(loss):
    return Case(
        lambda dtype: steps(loss, dtype),
        ("theta", "state", "average"),
        ("X",),
        near=(1e-4, 1e-12),
    )


# Numbers for each rule, of the sizes that an optimizer gives.
NUMBERS = {
    "sgd": (0.1,),
    "momentum": (0.1, 0.9, 0.5),
    "nesterov": (0.1, 0.9, 0.5),
    "adagrad": (0.1, 1e-8, 1e-4),
    "rmsprop": (0.1, 0.99, 0.01, 1e-8, 1e-4),
    "adam": (0.1, 0.9, 0.1, 0.999, 0.001, 1e-8, 1e-4, 0.99),
    "adadelta": (1.0, 0.9, 0.1, 1e-6),
    "rmsprop_centered": (0.1, 0.99, 0.01, 1e-8, 1e-4),
    "rmsprop_momentum": (0.1, 0.99, 0.01, 1e-8, 1e-4, 0.9, 0.5),
    "rmsprop_centered_momentum": (0.1, 0.99, 0.01, 1e-8, 1e-4, 0.9, 0.5),
    "amsgrad": (0.1, 0.9, 0.1, 0.999, 0.001, 1e-8, 1e-4, 1.5),
    "nadam": (0.1, 0.05, 0.9, 0.1, 0.999, 0.001, 1e-8, 1e-4),
    "moments": (0.1, 0.9, 0.1, 0.999, 0.001),
    "adamax": (0.1, 0.9, 0.1, 0.999, 1e-8, 1e-4),
    "lion": (0.1, 0.9, 0.1, 0.99, 0.01, 0.99),
    "schedule_free_sgd": (0.1, 0.25, -0.03, 0.01),
    "schedule_free_adamw": (0.1, 0.25, -0.03, 0.01, 0.999, 0.001, 0.5, 1e-8),
}


def rule_case(rule):
    """w, g and the rule's vectors of state, all of them running squares or maxima at most once."""

    def arguments(dtype, n=ROWS, seed=0):
        rng = np.random.default_rng(seed)
        arrays = {name: rng.normal(size=n).astype(dtype) for name in "wg"}
        state = {f"s{k}": abs(rng.normal(size=n)).astype(dtype) for k in range(RULES[rule][1])}
        return arrays | {"numbers": NUMBERS[rule]} | state

    return Case(arguments, ("w", *(f"s{k}" for k in range(RULES[rule][1]))))


def activation(name):
    """Z and a bias; or Y, dY and db for the way back."""
    kept = name in ("gelu", "gelu_tanh", "silu", "softplus")

    def forward(dtype):
        rng = np.random.default_rng(0)
        Z = 4 * rng.normal(size=(ROWS, COLUMNS)).astype(dtype)
        bias = rng.normal(size=COLUMNS).astype(dtype)
        return {
            "name": name,
            "Z": Z,
            "bias": bias,
            "slope": np.zeros_like(Z) if kept else Z[:0, :0].copy(),
        }

    def backward(dtype):
        rng = np.random.default_rng(0)
        Y, dY, slope = rng.normal(size=(3, ROWS, COLUMNS)).astype(dtype)
        db = rng.normal(size=COLUMNS).astype(dtype)
        return {
            "name": name,
            "Y": Y,
            "slope": slope if kept else Y[:0, :0].copy(),
            "dY": dY,
            "db": db,
        }

    return forward, backward


def head(targets):
    """Margins of a network, targets that `targets` makes, and room for the gradient."""

    def arguments(dtype):
        rng = np.random.default_rng(0)
        Z = (4 * rng.normal(size=(ROWS, COLUMNS))).astype(dtype)
        weights, (name, y) = rng.uniform(0.1, 2, ROWS), targets(rng)
        return {"Z": Z, name: y, "weights": weights, "scale": 0.25, "dZ": np.zeros_like(Z)}

    return Case(arguments, ("dZ",), ("Z",), near=(1e-6, 1e-14))


def gathering(dtype):
    """Rows of X in some order, standardised."""
    rng = np.random.default_rng(0)
    X, (shift, inverse) = rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=(2, COLUMNS))
    arrays = {"X": X, "shift": shift, "inverse": inverse, "out": np.zeros((ROWS - 4, COLUMNS))}
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    return arrays | {"rows": rng.integers(0, ROWS, ROWS - 4)}


def chain(dtype, n=ROWS, widths=(COLUMNS, 7, 20, CLASSES), kinds=(1, 6, 0), head="squared_error"):
    """A small network of dense layers and most of the rows it is to see."""
    rng = np.random.default_rng(0)
    size = sum((p + 1) * k for p, k in itertools.pairwise(widths))
    k = widths[-1]
    targets = rng.integers(0, k, (n, 1)) * 1.0 if head.startswith("soft") else rng.random((n, k))
    return {
        "X": rng.normal(size=(n, widths[0])).astype(dtype),
        "rows": rng.integers(0, n, n - 4),
        "shift": rng.normal(size=widths[0]).astype(dtype),
        "inverse": rng.uniform(0.5, 2, widths[0]).astype(dtype),
        "Y": targets,
        "weights": rng.uniform(0.1, 2, n),
        "widths": np.array(widths),
        "kinds": np.array(kinds),
        "theta": rng.normal(size=size).astype(dtype),
        "head": head,
        "scale": 0.25,
        "g": np.zeros(size, dtype),
    }


def norm_forward(dtype):
    """Rows, gain and bias."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, COLUMNS)).astype(dtype)
    gain, bias = rng.normal(size=(2, COLUMNS)).astype(dtype)
    out = {"Y": np.zeros_like(X), "statistics": np.zeros((ROWS, 2), dtype)}
    return {"X": X, "gain": gain, "bias": bias, "eps": 1e-5} | out


def norm_backward(dtype):
    """The way back; statistics that any rows could have."""
    given = norm_forward(dtype)
    rng = np.random.default_rng(1)
    statistics = rng.uniform(0.5, 1, (ROWS, 2)).astype(dtype)
    dY = rng.normal(size=(ROWS, COLUMNS)).astype(dtype)
    sums = {"dgain": given["gain"].copy(), "dbias": given["bias"].copy()}
    tables = {"X": given["X"], "statistics": statistics, "dY": dY, "dX": np.zeros_like(dY)}
    return tables | {"gain": given["gain"]} | sums


def residual_forward(dtype):
    """A residual stream, what joins it with its bias, and the norm of their sum."""
    given = norm_forward(dtype)
    D, bias = np.random.default_rng(2).normal(size=(2, ROWS, COLUMNS)).astype(dtype)
    return given | {"D": D, "bias": bias[0].copy(), "shift": given["bias"]}


def residual_backward(dtype):
    """The way back, with a gradient that comes by the stream itself."""
    given = norm_backward(dtype)
    R, dbias = np.random.default_rng(2).normal(size=(2, ROWS, COLUMNS)).astype(dtype)
    named = {"D": given.pop("X"), "dD": given.pop("dX"), "dshift": given["dbias"]}
    return given | named | {"R": R, "dbias": dbias[0].copy()}


def stream(loss, k=1):
    """Rows to learn from one by one, and a state that has seen a few; all of it penalised."""

    def arguments(dtype):
        rng = np.random.default_rng(0)
        targets = {"squared": rng.normal(size=ROWS), "softmax": rng.integers(0, k, ROWS) * 1.0}
        given = {"loss": loss, "X": rng.normal(size=(ROWS, COLUMNS)).astype(dtype)}
        state = np.abs(rng.normal(size=(2 * k + 2, COLUMNS + 1)))
        state[2 * k, -1], state[2 * k + 1, -1] = 1, 0
        given |= {"y": targets[loss], "weights": rng.uniform(0.1, 2, ROWS), "state": state}
        clock = np.array([9.0, 30.0, 8.0, 0.1, 7.0])
        return given | {"clock": clock, "numbers": (0.5, 0.5, 1e-3, 1e-3, 1.0, 1.0)}

    return arguments


def sparse_stream(dtype):
    """The same of sparse rows, whose columns' penalties stand at a time each."""
    given = stream("softmax", CLASSES)(dtype)
    rng, X = np.random.default_rng(1), given.pop("X")
    held = rng.random(X.shape) < 0.4
    indptr = np.append(0, held.sum(axis=1).cumsum()).astype(np.int64)
    given |= {"data": X[held], "indices": held.nonzero()[1].astype(np.int32), "indptr": indptr}
    given["state"][2 * CLASSES + 1] = np.append(rng.random(COLUMNS), 1.5)
    return given


def settling(dtype):
    given = sparse_stream(dtype)
    return {"state": given["state"], "numbers": given["numbers"]}


def scattering(dtype):
    """Rows to be added to a table, some of them twice."""
    rng = np.random.default_rng(0)
    table, values = rng.normal(size=(2, ROWS, COLUMNS)).astype(dtype)
    return {"table": table, "rows": rng.integers(0, ROWS, ROWS), "values": values}


def embedding(dtype):
    """Rows to be taken from a table, some that it does not have."""
    rng = np.random.default_rng(0)
    table, places = (rng.normal(size=(n, COLUMNS)).astype(dtype) for n in (ROWS, 3))
    out = np.zeros((ROWS, COLUMNS), dtype)
    return {"table": table, "rows": rng.integers(-3, ROWS + 3, ROWS), "places": places, "out": out}


CASES = {
    "check_csr": Case(sparse_rows, free=("indices",)),
    "csr_moments": Case(sparse_moments, ("mean", "deviation"), ("data",), near=(1e-13, 1e-13)),
    "merge_csr": Case(sparse_twice, ("data", "indices", "indptr"), ("data",)),
    "hash_rows": Case(naming, ("data", "indices", "indptr"), ("data",)),
    "murmur3": Case(lambda dtype: {"data": b"gradient", "seed": 7}, free=("data", "seed")),
    "take_csr_rows": Case(sparse_gathering, ("new_data", "new_indices", "new_indptr")),
    "add_rows": Case(scattering, ("table",), ("rows",)),
    "embed": Case(embedding, ("out",), ("rows", "table", "places")),
    "online_pass": Case(
        stream("softmax", CLASSES), ("state", "clock"), ("X",), near=(1e-13, 1e-13)
    ),
    "csr_online_pass": Case(sparse_stream, ("state", "clock"), ("data",), near=(1e-13, 1e-13)),
    "csr_online_settle": Case(settling, ("state",), ("state",), near=(1e-13, 1e-13)),
    "dropout": Case(vectors("x out", rate=0.3, key=2**63 + 12345, first=2**33 + 7), ("out",)),
    "layer_norm": Case(norm_forward, ("Y", "statistics"), near=(1e-5, 1e-13)),
    "layer_norm_backward": Case(norm_backward, ("dX", "dgain", "dbias"), near=(1e-5, 1e-13)),
    "residual_norm": Case(residual_forward, ("D", "Y", "statistics"), near=(1e-5, 1e-13)),
    "residual_norm_backward": Case(
        residual_backward, ("dD", "dgain", "dshift", "dbias"), near=(1e-5, 1e-13)
    ),
    "csr_combine": Case(
        of_sparse("g", slopes=lambda: np.random.default_rng(2).normal(size=(ROWS + 1, CLASSES))),
        ("g",),
        ("data",),
        near=(1e-5, 1e-12),
    ),
    "csr_corrected": corrected("logistic", sparse=True),
    **{f"csr_corrected:{loss}": corrected(loss, sparse=True) for loss in LOSSES},
    "linear_corrected": corrected("logistic"),
    **{f"linear_corrected:{loss}": corrected(loss) for loss in LOSSES},
    "csr_epoch": sparse_epoch("logistic"),
    **{f"csr_epoch:{loss}": sparse_epoch(loss) for loss in LOSSES},
    "csr_gradient": csr_case("logistic"),
    "csr_lengths": Case(
        of_sparse(lengths=lambda: np.ones(ROWS + 1)), ("lengths",), ("data",), near=(1e-5, 1e-12)
    ),
    "csr_margins": Case(of_sparse("theta", "margins"), ("margins",), ("data",), near=(1e-5, 1e-12)),
    **{f"csr_gradient:{loss}": csr_case(loss) for loss in LOSSES},
    "column_moments": Case(spread, ("mean", "square", "low", "high"), ("X",), near=(1e-6, 1e-13)),
    "row_lengths": Case(rows, ("lengths",), ("X",), near=(1e-5, 1e-13)),
    "cached_attention": Case(
        one_place, ("keys", "values", "out"), ("texts", "places"), near=(1e-5, 1e-13)
    ),
    "matrix_product": Case(matrices, ("C",), near=(1e-5, 1e-13), strided=("A", "B", "C")),
    "pack_panels": Case(packing, ("panels",), strided=("B",)),
    "panel_product": Case(packed, ("C",), near=(1e-5, 1e-13), strided=("A", "C")),
    "causal_attention": Case(attention, ("out", "lse"), near=(1e-5, 1e-13)),
    "causal_attention_backward": Case(attention_backward, ("dqkv", "dbias"), near=(1e-5, 1e-13)),
    "chain_gradient": Case(chain, ("g",), ("X",), near=(1e-5, 1e-13)),
    "activate": Case(activation("gelu")[0], ("Z", "slope"), near=(1e-6, 1e-14)),
    "activate_backward": Case(activation("gelu")[1], ("dY", "db"), near=(1e-6, 1e-14)),
    "logistic_cross_entropy": head(lambda rng: ("Y", rng.integers(0, 2, (ROWS, COLUMNS)) * 1.0)),
    "softmax_cross_entropy": head(lambda rng: ("y", rng.integers(0, COLUMNS, ROWS) * 1.0)),
    "squared_error": head(lambda rng: ("Y", rng.normal(size=(ROWS, COLUMNS)))),
    "take_rows": Case(gathering, ("out",), ("X",)),
    "add_scaled": Case(vectors("a b", factor=0.3), ("a",)),
    "all_finite": Case(vectors("a"), free=("a",)),
    "clip_norm": Case(vectors("a", limit=1.0), ("a",), ("a",), near=(2e-7, 4e-16)),
    "clip_value": Case(vectors("a", limit=0.5), ("a",), ("a",)),
    "curvature_pair": Case(new_pair, ("S", "Y", "rho"), near=(1e-15, 1e-15)),
    "dot": Case(vectors("a b"), near=(1e-15, 1e-15)),
    "lasso_step": Case(doubles(lasso_problem), ("step",), near=(1e-9, 1e-9)),
    "linear_combine": Case(combining, ("g",), ("X",), near=(1e-5, 1e-13)),
    "linear_epoch": epoch("logistic"),
    "linear_gradient": gradient("logistic"),
    "linear_hessian": Case(moments, ("H",), ("X",), near=(1e-5, 1e-13)),
    "linear_losses": losses("logistic"),
    **{f"linear_losses:{loss}": losses(loss) for loss in LOSSES},
    "linear_margins": Case(margins, ("margins",), ("X",), near=(1e-5, 1e-13)),
    **{f"linear_epoch:{loss}": epoch(loss) for loss in LOSSES},
    **{f"linear_gradient:{loss}": gradient(loss) for loss in LOSSES},
    "logsumexp": Case(tables((ROWS,)), ("out",), near=(2.4e-7, 4.5e-16)),
    "largest": Case(vectors("a"), free=("a",)),
    "norm": Case(vectors("a"), free=("a",), near=(1e-15, 1e-15)),
    "ray": Case(doubles(vectors("x d out", t=0.3)), ("out",)),
    "secant": Case(vectors("x before g was"), ("before", "was"), near=(1e-13, 1e-13)),
    "sigmoid": Case(vectors("z out"), ("out",), near=(4.8e-7, 9e-16)),
    "simd_level": Case(lambda dtype: {}),
    "softmax": Case(tables((ROWS, COLUMNS)), ("out",), near=(4.8e-7, 9e-16)),
    "two_loop": Case(pairs, ("d",), near=(1e-13, 1e-13)),
    "wolfe_step": Case(wolfe, ("S", "Y", "rho", "x_new", "g_new"), near=(1e-13, 1e-13)),
    **{f"update:{rule}": rule_case(rule) for rule in RULES},
}
DIFFER = ("simd_level",)  # whose answers are not meant to agree
