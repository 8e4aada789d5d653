"""scikit-learn's own checks of an estimator, without exceptions."""

import warnings

import numpy as np
import pytest

import gdcore as gd
from gdcore.datasets import load_breast_cancer

checks = pytest.importorskip("sklearn.utils.estimator_checks")
KINDS = pytest.mark.parametrize(
    "kind",
    [
        gd.LinearClassifier,
        gd.LinearRegression,
        gd.LogisticRegression,
        gd.MLPClassifier,
        gd.MLPRegressor,
    ],
)


BRIEF = {  # the checks ask for ways to behave, and for no more than 83 of 100 right
    gd.MLPClassifier: {"max_epochs": 50},
    gd.MLPRegressor: {"max_epochs": 50},
}


@KINDS
def test_check_estimator_whole(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = checks.check_estimator(kind(**BRIEF.get(kind, {})), on_skip=None, on_fail=None)
    failed = [each["check_name"] for each in results if each["status"] not in ("passed", "skipped")]
    skipped = [each["check_name"] for each in results if each["status"] == "skipped"]
    assert not failed
    assert set(skipped) <= {"check_array_api_input"}  # asks for SCIPY_ARRAY_API in the environment
    assert len(results) > 40


@KINDS
def test_clone_pipeline_and_search(kind):
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    model = kind(alpha=0.1, max_epochs=50)
    assert clone(model).get_params() == model.get_params()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = GridSearchCV(
            make_pipeline(StandardScaler(), model),
            {f"{kind.__name__.lower()}__alpha": [1e-3, 1e-1]},
            cv=3,
        ).fit(data.X, data.y)
    assert grid.best_score_ > (
        0.9 if "Class" in kind.__name__ or "Logistic" in kind.__name__ else 0.6
    )


@KINDS
def test_pickling_keeps_the_bits(kind):
    import pickle

    data = load_breast_cancer()
    model = kind(tol=1e-3, random_state=0).fit(data.X, data.y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(data.X), model.predict(data.X))
    assert again.result_.status is model.result_.status
    np.testing.assert_array_equal(again.trace_.cost, model.trace_.cost)


LINEAR = pytest.mark.parametrize(
    "kind", [gd.LinearClassifier, gd.LinearRegression, gd.LogisticRegression]
)


@LINEAR
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")  # a hinge may end at rounding
def test_search_in_two_processes_and_cross_validation(kind):
    from sklearn.model_selection import GridSearchCV, cross_val_score

    data = load_breast_cancer()
    model, alphas = kind(max_epochs=100, tol=1e-2), {"alpha": [1e-3, 1e-1]}
    grid = GridSearchCV(model, alphas, cv=3, n_jobs=2).fit(data.X, data.y)
    alone = GridSearchCV(model, alphas, cv=3).fit(data.X, data.y)
    np.testing.assert_array_equal(
        grid.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    assert cross_val_score(model, data.X, data.y, cv=3).min() > 0.6


@LINEAR
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_cross_validation_and_search_over_a_csr(kind):
    from sklearn.model_selection import GridSearchCV, cross_val_score

    rng = np.random.default_rng(0)
    words = rng.integers(0, 5, size=(90, 3))
    y = (words == 0).any(axis=1).astype(int)
    X = gd.hash_features([{f"word {w}": 1.0 for w in row} for row in words.tolist()], 64)
    model, dense = kind(tol=1e-4), X.dense()
    scores = cross_val_score(model, X, y, cv=3)
    np.testing.assert_allclose(scores, cross_val_score(model, dense, y, cv=3), atol=0.02)
    assert GridSearchCV(model, {"alpha": [1e-3, 1e-1]}, cv=3).fit(X, y).best_score_ > 0.6


@LINEAR
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_and_their_names(kind, library):
    frames = pytest.importorskip(library)
    data = load_breast_cancer()
    names = [f"column {j}" for j in range(data.X.shape[1])]
    frame = frames.DataFrame(dict(zip(names, data.X.T, strict=True)))
    model = kind().fit(frame, data.y)
    assert model.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(model.predict(frame), kind().fit(data.X, data.y).predict(data.X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[names[::-1]])


@LINEAR
def test_joblib_and_notebooks(kind, tmp_path):
    joblib = pytest.importorskip("joblib")
    data = load_breast_cancer()
    model = kind(alpha=0.01).fit(data.X, data.y)
    joblib.dump(model, tmp_path / "model")
    again = joblib.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(data.X), model.predict(data.X))
    page = model._repr_html_()
    assert f"<caption>{kind.__name__}</caption>" in page
    assert "0.01" in page
    assert "CERTIFIED" in page
    assert "&lt;" in page  # the message holds a "<"


SAME = [  # of docs/linear.md: scikit-learn's, ours, what y they are for
    ("LogisticRegression(C=0.3)", "LogisticRegression(alpha=1 / (0.3 * n))", "classes"),
    ("Ridge(alpha=7)", "LinearRegression(alpha=7 / n)", "reals"),
    ("Lasso(alpha=0.2)", "LinearRegression(alpha=0.2, l1_ratio=1)", "reals"),
    ("ElasticNet(alpha=0.2, l1_ratio=0.4)", "LinearRegression(alpha=0.2, l1_ratio=0.4)", "reals"),
    ("PoissonRegressor(alpha=0.2)", "LinearRegression(loss='poisson', alpha=0.2)", "counts"),
    ("QuantileRegressor(alpha=0.05, quantile=0.7)",
     "LinearRegression(loss=gd.losses.Quantile(0.7), alpha=0.05, l1_ratio=1)", "reals"),
    ("LinearSVC(C=0.3, loss='hinge', intercept_scaling=100)",
     "LinearClassifier(alpha=1 / (0.3 * n))", "classes"),
    ("LinearSVC(C=0.3, intercept_scaling=100)",
     "LinearClassifier(loss='squared_hinge', alpha=1 / (2 * 0.3 * n))", "classes"),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours", "kind"), SAME)
def test_penalties_are_those_of_scikit_learn_in_other_units(theirs, ours, kind):
    from sklearn import linear_model, svm

    rng, n = np.random.default_rng(0), 200
    X = rng.normal(size=(n, 4)) * [1, 2, 0.5, 3]
    z = X @ [1.0, 0.0, 2.0, -1.0] + rng.normal(size=n)
    y = {"reals": z + 3, "classes": (z > 1).astype(int), "counts": rng.poisson(np.exp(0.1 * z))}
    names = vars(linear_model) | vars(svm)
    other = eval(theirs, {}, names)
    precise = {"tol": 1e-9, "max_iter": 1_000_000}
    other.set_params(**{key: precise[key] for key in precise if key in other.get_params()})
    kinds = (gd.LinearRegression, gd.LogisticRegression, gd.LinearClassifier)
    model = eval(ours, {}, {each.__name__: each for each in kinds} | {"gd": gd, "n": n})
    model.set_params(standardize=False)
    near = other.fit(X, y[kind]).coef_
    np.testing.assert_allclose(model.fit(X, y[kind]).coef_, near, rtol=1e-3, atol=1e-4)
