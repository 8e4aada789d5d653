"""Estimators: scikit-learn's API over the one loop."""

from gdcore.models.linear import LinearRegression
from gdcore.models.logistic import LogisticRegression
from gdcore.models.margin import LinearClassifier
from gdcore.models.mlp import MLPClassifier, MLPRegressor

__all__ = [
    "LinearClassifier", "LinearRegression", "LogisticRegression", "MLPClassifier", "MLPRegressor",
]  # fmt: skip
