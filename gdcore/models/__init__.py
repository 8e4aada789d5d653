"""Estimators: scikit-learn's API over the one loop."""

from gdcore.models.linear import LinearRegression
from gdcore.models.logistic import LogisticRegression
from gdcore.models.mlp import MLPClassifier, MLPRegressor

__all__ = ["LinearRegression", "LogisticRegression", "MLPClassifier", "MLPRegressor"]
