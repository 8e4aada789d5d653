"""Estimators: scikit-learn's API over the one loop."""

from gdcore.models.linear import LinearRegression
from gdcore.models.logistic import LogisticRegression

__all__ = ["LinearRegression", "LogisticRegression"]
