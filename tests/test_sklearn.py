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


@KINDS
def test_check_estimator_whole(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = checks.check_estimator(kind(), on_skip=None, on_fail=None)
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
    model = kind(alpha=0.1, max_epochs=100)
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
