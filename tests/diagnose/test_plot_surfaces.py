"""Pictures of paths, coefficients, attention and boundaries: what is in the artists."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

import gdcore as gd
from gdcore.diagnose.plot_attention import attention_of
from gdcore.diagnose.plot_path import Plane
from gdcore.layers.passes import Pass
from tests.diagnose.drawing import drawn

matplotlib.use("Agg")

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

plots = gd.plots
CANCER, DIABETES = gd.datasets.load_breast_cancer(), gd.datasets.load_diabetes()


def rosenbrock(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])


def bowl(x):
    """Its minimum, 2, is at (1, −1)."""
    x = x - (1, -1)
    return 2 + x @ x, 2 * x


# PathDisplay


def test_a_functions_path_and_contours(ax):
    display = drawn(plots.PathDisplay.from_function(
        bowl, [3.0, 2.0], method="sgd", limits=((-2, 4), (-4, 3)), resolution=61, ax=ax,
    ))  # fmt: skip
    assert display.ax_ is ax
    low, left = np.unravel_index(display.values.argmin(), display.values.shape)
    assert display.grid_x[left] == pytest.approx(1, abs=0.06)
    assert display.grid_y[low] == pytest.approx(-1, abs=0.06)
    xs, ys = np.meshgrid(display.grid_x, display.grid_y)
    assert np.allclose(display.values, 2 + (xs - 1) ** 2 + (ys + 1) ** 2)
    assert display.contours_.levels[0] == display.values.min()
    assert display.contours_.levels[-1] == pytest.approx(display.values.max())
    path = display.paths["sgd"]
    assert path[0].tolist() == [3, 2]
    assert path[-1] == pytest.approx([1, -1], abs=1e-4)
    assert np.array_equal(display.lines_["sgd"].get_xydata(), path)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x₁", "x₂")
    assert ax.get_xlim() == (-2, 4)


def test_several_methods_on_one_contour_each_within_the_window():
    methods = ["lbfgs", gd.optim.Adam(0.05), gd.optim.Adam(0.1)]
    display = drawn(plots.PathDisplay.from_function(
        rosenbrock, [-1.2, 1.0], method=methods, max_iter=50, resolution=9
    ))  # fmt: skip
    assert list(display.paths) == ["lbfgs", "Adam", repr(methods[2])]
    for points in display.paths.values():
        assert points[0].tolist() == [-1.2, 1.0]
        for column, grid in ((0, display.grid_x), (1, display.grid_y)):
            assert grid[0] < points[:, column].min()
            assert points[:, column].max() < grid[-1]


def test_bounds_structures_and_differences(ax):
    display = plots.PathDisplay.from_function(
        lambda x: float((x["a"] ** 2).sum()), {"a": np.array([2.0, 1.0])}, jac=None, resolution=5,
        bounds={"a": (1.0, 3.0)}, ax=ax,
    )  # fmt: skip
    assert drawn(display).paths["auto"][-1] == pytest.approx([1, 1])


def test_where_the_function_is_no_number_there_is_no_colour(ax):
    def fun(x):
        return np.log(x[0]) if x[0] > 0 else np.nan

    display = drawn(plots.PathDisplay.from_path(fun, np.array([[0.2, 1.0], [2.0, 2.0]]), ax=ax))
    assert np.isnan(display.values).any()
    assert np.isfinite(display.contours_.levels).all()


@pytest.mark.parametrize("size", [2, 7])
def test_one_point_on_a_level_function(ax, size):
    display = drawn(plots.PathDisplay.from_path(lambda x: 3.0, np.ones((1, size)), ax=ax))
    assert (display.values == 3).all()


def test_the_plane_of_a_path_is_that_of_its_principal_components():
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    t = np.linspace(0, 1, 20)[:, None]
    points = 5 * t * frame[0] + np.sin(6 * t) * frame[1] + 0.01 * rng.normal(size=(20, 9))
    plane = Plane(points)
    centred = points - points.mean(axis=0)
    _, s, directions = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(plane.directions @ directions[:2].T), np.eye(2), atol=1e-8)
    assert np.allclose(plane.directions @ plane.directions.T, np.eye(2))
    assert np.allclose(plane.shares, s[:2] ** 2 / (s**2).sum())
    seen = plane.project(points)
    assert np.allclose(seen[-1], 0)  # the plane goes through the last point
    assert (seen[0] <= 0).all()
    for a, b in seen:
        assert np.allclose(plane.project(plane.lift(a, b)[None]), [[a, b]])


@pytest.mark.parametrize("points", [np.outer(np.arange(4.0), np.ones(5)), np.ones((3, 5))])
def test_a_straight_path_has_a_plane_too(points):
    plane = Plane(points)
    assert np.allclose(plane.directions @ plane.directions.T, np.eye(2))
    assert plane.shares == pytest.approx([float(points.std() > 0), 0], abs=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        gd.LogisticRegression(optimizer="lbfgs", max_epochs=15, tol=0),
        gd.LogisticRegression(batch_size=64, max_epochs=3, tol=0, random_state=0),
        gd.MLPClassifier(hidden_layer_sizes=(4,), max_epochs=3, tol=0, random_state=0, restarts=1),
    ],
)
def test_a_slice_of_a_models_cost(model, ax):
    before = model.get_params()
    display = plots.PathDisplay.from_estimator(model, CANCER.X, CANCER.y, resolution=5, ax=ax)
    assert model.get_params() == before
    assert not hasattr(model, "result_")
    assert drawn(display).ax_ is ax
    assert type(model).__name__ in ax.get_title()
    share = display.plane.shares[0]
    assert ax.get_xlabel() == f"principal component 1 ({share:.1%} of the variance)"
    assert 0.5 < share <= 1
    # where the window is the last point's, so is the cost
    path = plots.Path()
    model = type(model)(**(before | {"callbacks": [path], "restarts": 0} if "restarts" in before
                           else before | {"callbacks": [path]}))  # fmt: skip
    model.fit(CANCER.X, CANCER.y)
    around = (-1e-3, 1e-3), (-1e-3, 1e-3)
    near = plots.PathDisplay.from_estimator(
        model, path=path, resolution=3, limits=around, ax=Figure().subplots()
    )
    theta = path.points[-1]
    with path.cost as cost:
        value = cost.value_and_gradient(theta.copy(), np.empty_like(theta))
    assert near.values[1, 1] == pytest.approx(value, rel=1e-6)
    assert near.values.max() != near.values.min()


def test_a_gpts_path_by_its_recorder(ax):
    path = plots.Path(every=4)
    gpt = gd.GPT(n_layer=1, n_head=2, n_embd=8, block_size=8, random_state=0, dropout=0.1)
    gpt.fit("the cat sat. " * 30, max_steps=20, eval_every=10, callbacks=[path])
    display = plots.PathDisplay.from_estimator(gpt, path=path, resolution=5, ax=ax)
    assert drawn(display).paths["path"].shape == (6, 2)
    assert display.values[2, -1] < display.values[2, 0]  # it ends rightwards, and lower


def test_bad_paths():
    from_path, from_function = plots.PathDisplay.from_path, plots.PathDisplay.from_function
    with pytest.raises(ValueError, match="x0 is one number"):
        from_function(bowl, [1.0])
    with pytest.raises(ValueError, match="noise has no contours"):
        from_function(bowl, [1.0, 2.0], rng=0)
    with pytest.raises(ValueError, match="no path knows its cost"):
        from_path(None, np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"must be \(steps, numbers\)"):
        from_path(len, np.ones(3))
    with pytest.raises(ValueError, match="has no finite point"):
        from_path(len, np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="neither path nor X"):
        plots.PathDisplay.from_estimator(gd.LinearRegression())
    closed = gd.LinearRegression(optimizer="closed-form")
    with pytest.raises(ValueError, match="a closed form has no path"):
        plots.PathDisplay.from_estimator(closed, DIABETES.X, DIABETES.y)
    kinds = np.digitize(DIABETES.y, [100, 200])
    with pytest.raises(ValueError, match="fits one class against the rest after another"):
        plots.PathDisplay.from_estimator(gd.LinearClassifier(), DIABETES.X, kinds)
    with pytest.raises(ValueError, match="The path has seen no fit"):
        plots.PathDisplay.from_estimator(closed, path=plots.Path())


# CoefficientsDisplay


def test_regularisation_paths(ax):
    alphas = np.geomspace(60, 0.1, 7)
    lasso = gd.LinearRegression(l1_ratio=1.0)
    display = drawn(plots.CoefficientsDisplay.from_estimator(
        lasso, DIABETES.X, DIABETES.y, alphas=alphas, standardized=False,
        names=DIABETES.feature_names, ax=ax,
    ))  # fmt: skip
    assert display.ax_ is ax
    assert not hasattr(lasso, "coef_")
    for i in (0, 3, 6):
        cold = gd.LinearRegression(l1_ratio=1.0, alpha=alphas[i]).fit(DIABETES.X, DIABETES.y)
        assert display.coefficients[i] == pytest.approx(cold.coef_, rel=1e-2, abs=1e-2)
    assert (display.coefficients[0] == 0).all()  # above alpha_max
    for j, name in enumerate(DIABETES.feature_names):
        line = display.lines_[name]
        assert line.get_xdata().tolist() == alphas.tolist()
        assert line.get_ydata().tolist() == display.coefficients[:, j].tolist()
        assert line.get_label() == name
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "alpha, the weight of the penalty"
    assert ax.get_ylabel() == "coefficient"


def test_coefficients_along_the_descent_and_names_of_the_largest(ax):
    frame = pd.DataFrame(CANCER.X, columns=CANCER.feature_names)
    model = gd.LogisticRegression(optimizer="fista", max_epochs=30, tol=0)
    display = drawn(plots.CoefficientsDisplay.from_estimator(
        model, frame, CANCER.y, every=10, named=3, ax=ax
    ))  # fmt: skip
    assert display.x.tolist() == [0, 10, 20, 30]
    fitted = model.fit(CANCER.X, CANCER.y)
    expected = fitted.coef_.ravel() * CANCER.X.std(axis=0)
    assert display.coefficients[-1] == pytest.approx(expected)
    assert (display.coefficients[0] == 0).all()
    largest = {CANCER.feature_names[j] for j in np.argsort(-np.abs(expected))[:3]}
    named = {text.get_text() for text in ax.get_legend().get_texts()}
    assert named == largest
    rest = [line for name, line in display.lines_.items() if name not in largest]
    assert len(rest) == 27
    assert {line.get_color() for line in rest} == {"#999999"}
    assert ax.get_ylabel() == "coefficient × deviation of its column"


def test_coefficients_of_one_of_several_classes(ax):
    digits = gd.datasets.load_digits()
    X, y = digits.X[:300, 20:30], digits.y[:300] % 3
    model = gd.LogisticRegression(alpha=0.1)
    display = drawn(plots.CoefficientsDisplay.from_estimator(
        model, X, y, alphas=[0.1, 1.0], target=2, standardized=False, ax=ax
    ))  # fmt: skip
    assert display.coefficients[0] == pytest.approx(model.fit(X, y).coef_[2], abs=1e-3)
    assert "(class 2)" in ax.get_title()
    with pytest.raises(ValueError, match="target=7 is no class"):
        plots.CoefficientsDisplay.from_estimator(model, X, y, alphas=[1.0], target=7)


def test_bad_coefficients():
    make = plots.CoefficientsDisplay.from_estimator
    X, y = DIABETES.X, DIABETES.y
    with pytest.raises(ValueError, match="alphas must be positive"):
        make(gd.LinearRegression(), X, y, alphas=[0.0, 1.0])
    with pytest.raises(ValueError, match="MLPRegressor has no coefficients"):
        make(gd.MLPRegressor(), X, y)
    with pytest.raises(ValueError, match="target names one of several classes"):
        make(gd.LinearRegression(), X, y, alphas=[1.0], target=1)
    with pytest.raises(ValueError, match=r"coefficients must be \(points, names\)"):
        plots.CoefficientsDisplay([1, 2], np.ones((2, 3)), ["a", "b"])


# AttentionDisplay


def small(**changes):
    settings = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 12, "random_state": 0}
    gpt = gd.GPT(**settings | {"dtype": "float64"} | changes)
    return gpt.fit("the cat sat on $5.\n" * 20, max_steps=5, eval_every=5, batch_size=4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"positions": "rotary"},
        {"bias": False, "tied": False},
        {"recompute": True, "dropout": 0.3},
    ],
)
@pytest.mark.parametrize("layer", [0, 1])
def test_attention_times_values_is_what_the_layer_gives(changes, layer):
    gpt = small(**changes)
    ids = gpt.tokenizer_.encode("the cat sat")
    P = attention_of(gpt, ids, layer)
    assert np.allclose(P.sum(axis=2), 1)
    assert not np.triu(P, 1).any()
    plain = gd.layers.Transformer(**{
        **{f: getattr(gpt.model_.layers, f) for f in gpt.model_.layers.__dataclass_fields__},
        "recompute": False,
    })  # fmt: skip
    run = Pass(plain, gpt.model_.scope(gpt.theta_.vector), 1, len(ids))
    run.forward(ids[None])
    values = run.keys_and_values(layer)[1].reshape(len(ids), 2, 4)
    given = run._own(layer, "a").reshape(len(ids), 2, 4)
    assert np.allclose(np.einsum("hij,jhd->ihd", P, values), given, rtol=1e-12, atol=1e-14)


def test_attention_panels(ax):
    gpt = small()
    display = drawn(plots.AttentionDisplay.from_estimator(gpt, "at on $5.\n", layer=1, ax=ax))
    assert display.ax_ is ax
    assert len(display.axes_) == 2
    P = attention_of(gpt, gpt.tokenizer_.encode("at on $5.\n"), 1)
    for head, (image, panel) in enumerate(zip(display.images_, display.axes_, strict=True)):
        shown = image.get_array()
        assert np.array_equal(shown.filled(0), P[head])
        assert shown.mask.sum() == 10 * 9 / 2  # what comes later is left white
        assert f"head {head}" in panel.get_title()
        assert panel.get_xlabel() == "token attended to"
    texts = [text.get_text() for text in ax.get_yticklabels()]
    assert texts == ["a", "t", "␣", "o", "n", "␣", r"\$", "5", ".", "↵"]
    (bar,) = [each for each in ax.figure.axes if each not in display.axes_]
    assert bar.get_ylabel() == "weight, rows sum to 1"


def test_one_head_and_tokens_without_a_text():
    gpt = gd.GPT(n_layer=1, n_head=4, n_embd=8, block_size=8, tokenizer=None, random_state=0)
    gpt.fit(np.arange(200) % 7, max_steps=2, eval_every=2, batch_size=2)
    display = drawn(plots.AttentionDisplay.from_estimator(gpt, np.array([1, 2, 3]), heads=3))
    assert display.tokens == ["1", "2", "3"]
    assert display.heads == [3]
    assert len(display.axes_) == 1
    assert len(drawn(plots.AttentionDisplay.from_estimator(gpt, np.array([1]))).axes_) == 4


def test_bad_attention():
    gpt, make = small(), plots.AttentionDisplay.from_estimator
    with pytest.raises(TypeError, match="gpt must be a GPT"):
        make(gd.LinearRegression(), "a")
    with pytest.raises(ValueError, match="layer must be a whole number of at least 0"):
        make(gpt, "the", layer=2)
    with pytest.raises(ValueError, match="The prompt has 13 tokens, and the model reads 1 to 12"):
        make(gpt, "the cat sat o")
    with pytest.raises(ValueError, match="heads must be"):
        make(gpt, "the", heads=[2])
    with pytest.raises(ValueError, match="no weights yet"):
        make(gd.GPT(), "the")


# BoundaryDisplay


def test_two_classes(ax):
    X, y = CANCER.X[:, :2], CANCER.y
    model = gd.LogisticRegression().fit(X, y)
    display = plots.BoundaryDisplay.from_estimator(model, X, y, resolution=40, ax=ax)
    assert drawn(display).ax_ is ax
    grid = np.stack(np.meshgrid(display.grid_x, display.grid_y), axis=2)
    P = model.predict_proba(grid.reshape(-1, 2))[:, 1].reshape(40, 40)
    assert np.allclose(display.response, P)
    (line,) = display.boundaries_
    along = np.concatenate([path.vertices for path in line.get_paths()])
    assert model.predict_proba(along)[:, 1] == pytest.approx(0.5, abs=0.02)
    for label, points in display.points_.items():
        assert np.array_equal(np.asarray(points.get_offsets()), X[y == label])
    colours = {tuple(each.get_facecolor()[0][:3]) for each in display.points_.values()}
    assert colours == {to_rgb("#0072B2"), to_rgb("#D55E00")}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 0", "feature 1")
    assert "P(y = 1)" in ax.get_title()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["y = 0", "y = 1"]


def test_two_of_many_columns_of_a_frame_others_at_their_mean(ax):
    frame = pd.DataFrame(CANCER.X, columns=CANCER.feature_names)
    y = np.array(CANCER.target_names)[CANCER.y]
    model = gd.LogisticRegression().fit(frame, y)
    display = drawn(plots.BoundaryDisplay.from_estimator(
        model, frame, y, features=("worst area", 1), resolution=7, ax=ax
    ))  # fmt: skip
    row = CANCER.X.mean(axis=0)
    row[CANCER.feature_names.index("worst area")] = display.grid_x[2]
    row[1] = display.grid_y[5]
    expected = model.predict_proba(pd.DataFrame([row], columns=CANCER.feature_names))[0, 1]
    assert display.response[5, 2] == pytest.approx(expected)
    assert ax.get_xlabel() == "worst area"
    assert "28 other features at the mean" in ax.get_title().replace("\n", " ")
    assert list(display.points_) == model.classes_.tolist()


def test_more_classes_are_mixed_by_their_probabilities(ax):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 30)
    X = rng.normal(size=(90, 2)) + 4 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    model = gd.LogisticRegression().fit(X, y)
    display = drawn(plots.BoundaryDisplay.from_estimator(model, X, y, resolution=30, ax=ax))
    assert display.response.shape == (30, 30, 3)
    image = np.asarray(display.image_.get_array())
    sure = np.unravel_index(display.response[..., 1].argmax(), (30, 30))
    vermillion = 1 - 0.6 * (1 - np.array(to_rgb("#D55E00")))
    assert image[sure] == pytest.approx(vermillion, abs=0.05)
    assert len(display.boundaries_) == 3
    along = np.concatenate([p.vertices for p in display.boundaries_[0].get_paths()])
    two = np.sort(model.predict_proba(along), axis=1)
    assert two[:, 2] - two[:, 1] == pytest.approx(0, abs=0.08)


@pytest.mark.parametrize("classes", [2, 3])
def test_margins_where_there_are_no_probabilities(classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    y = np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7][: classes - 1])
    model = gd.LinearClassifier().fit(X, y)
    display = drawn(plots.BoundaryDisplay.from_estimator(model, X, y, resolution=15))
    shape = (15, 15) if classes == 2 else (15, 15, 3)
    assert display.response.shape == shape
    assert (display.response < 0).any() == (classes == 2)
    assert display.level == 0


def test_a_regressors_surface(ax):
    X, y = DIABETES.X[:, 2:4], DIABETES.y
    model = gd.LinearRegression().fit(X, y)
    display = drawn(plots.BoundaryDisplay.from_estimator(model, X, y, resolution=9, ax=ax))
    grid = np.stack(np.meshgrid(display.grid_x, display.grid_y), axis=2).reshape(-1, 2)
    assert np.allclose(display.response.ravel(), model.predict(grid))
    assert display.points_["y"].get_array().tolist() == y.tolist()
    assert display.points_["y"].norm is display.image_.norm
    level = model.set_params(alpha=1e12).fit(X, y)
    assert np.ptp(drawn(plots.BoundaryDisplay.from_estimator(level, X, resolution=3)).response) < 1


class Elsewhere:
    """Another library's classifier: scikit-learn's warn where a frame's names are missing."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, X):
        assert list(X.columns) == ["a", "b", "c"]
        p = 1 / (1 + np.exp(-X["a"].to_numpy()))
        return np.column_stack([1 - p, p])


def test_another_librarys_estimator(ax):
    frame = pd.DataFrame(DIABETES.X[:, :3] - DIABETES.X[:, :3].mean(axis=0), columns=list("abc"))
    display = drawn(plots.BoundaryDisplay.from_estimator(Elsewhere(), frame, resolution=5, ax=ax))
    assert np.allclose(display.response, 1 / (1 + np.exp(-display.grid_x)))
    assert display.points_ == {}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")


def test_bad_boundaries():
    make, X, y = plots.BoundaryDisplay.from_estimator, DIABETES.X, DIABETES.y
    model = gd.LinearRegression()
    with pytest.raises(ValueError, match="not fitted yet"):
        make(model, X)
    model.fit(X, y)
    for features, message in (
        ((0, 0), "one column twice"), ((0, 10), "features must be"), ((0, 1, 2), "two of the"),
        (("age", 0), "'age' is no column"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            make(model, X, features=features)
