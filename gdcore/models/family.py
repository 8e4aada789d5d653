"""The model behind linear, logistic and softmax regression: margins z = x̃·θ + b and a loss."""

import numpy as np

from gdcore import kernels

SHIFT, INVERSE, RIDGE, LASSO = range(4)


class LinearFamily:
    """θ is (k, p) coefficients, then k intercepts, in the coordinates that `columns` describes.

    Parameters
    ----------
    loss : Squared, Logistic or Softmax
    features : int
        p.
    outputs : int
        k, one but for softmax.
    columns : array (4, p + 1), optional
        How descent sees each column, the intercept last: a shift, an inverse scale, and the ridge
        and lasso weights that a compiled epoch applies. Default: the columns as they are.
    """

    def __init__(self, loss, features, outputs=1, columns=None):
        self.loss, self.features, self.outputs = loss, features, outputs
        self.size = outputs * (features + 1)
        if columns is None:
            columns = np.zeros((4, features + 1))
            columns[INVERSE] = 1
        self.columns = columns
        self._gradient = getattr(kernels, loss.gradient)
        self._epoch = getattr(kernels, loss.epoch)
        self._trace = None

    def init(self, rng=None):
        """θ = 0; the cost is convex, so any start will do."""
        return np.zeros(self.size)

    def shapes(self):
        """The parts of θ, for `Parameters`."""
        return {"coef": (self.outputs, self.features), "intercept": (self.outputs,)}

    def predict(self, theta, X):
        """Margins z, shape (n, k), in float64."""
        p, k = self.features, self.outputs
        coef, intercept = self.original(theta)
        return X @ coef.reshape(k, p).T + intercept

    def original(self, theta):
        """Coefficients (k, p) and intercepts (k,) for the columns as they came."""
        p, k = self.features, self.outputs
        shift, inverse = self.columns[SHIFT, :p], self.columns[INVERSE, :p]
        coef = theta[: k * p].reshape(k, p) * inverse
        return coef, theta[k * p :] * self.columns[INVERSE, p] - coef @ shift

    def from_original(self, coef, intercept):
        """The θ that gives these coefficients; the inverse of `original`."""
        p = self.features
        shift, inverse = self.columns[SHIFT, :p], self.columns[INVERSE, :p]
        scale = np.divide(1, inverse, out=np.zeros(p), where=inverse != 0)
        start = intercept + (coef * (inverse != 0)) @ shift
        return np.concatenate([(coef * scale).ravel(), start * self.columns[INVERSE, p]])

    def add_cost_and_gradient(self, theta, shard, g):
        """Add the shard's summed gradient to g and return its summed loss."""
        return self._gradient(shard.X, shard.y, shard.weights, self.columns, theta, g)

    def epoch(
        self, theta, rows, penalty, *, order, moments, average, rule, constants, rates,
        first_step, batch_size,
    ):  # fmt: skip
        """One compiled pass of steps over the rows in `order`; returns the summed loss as met."""
        columns = self.columns.copy()
        p = self.features
        columns[RIDGE, :p], columns[LASSO, :p] = penalty.ridge[:p], penalty.lasso[:p]
        return self._epoch(
            rows.X, rows.y, rows.weights, order, columns, theta, moments, average, rule,
            constants, rates, first_step, batch_size,
        )  # fmt: skip

    def add_second_moments(self, v, shard, out):
        """Add Σ s·x̃(x̃·v) to out, x̃ the standardised row with its 1 for the intercept."""
        kernels.squared_gradient(shard.X, np.zeros(len(shard)), shard.weights, self.columns, v, out)

    def trace(self, rows):
        """Mean squared length of a standardised row: the trace of the second moments."""
        if self._trace is None:
            p, step = self.features, max(1, (1 << 16) // self.features)
            total = 0.0
            for a in range(0, len(rows), step):
                x = (rows.X[a : a + step] - self.columns[SHIFT, :p]) * self.columns[INVERSE, :p]
                total += float(rows.weights[a : a + step] @ np.einsum("ij,ij->i", x, x))
            self._trace = total / len(rows) + float(self.columns[INVERSE, p] ** 2)
        return self._trace
