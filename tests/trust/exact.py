"""Answers known exactly: least squares over the rationals, and equations solved by halving."""

from fractions import Fraction

import numpy as np


def least_squares(X, y):
    """(*coefficients, intercept) of the numbers as they stand, each rounded once."""
    A = [[Fraction(float(v)) for v in row] + [Fraction(1)] for row in X]
    b = [Fraction(float(v)) for v in y]
    p = len(A[0])
    M = [
        [sum(row[i] * row[j] for row in A) for j in range(p)]
        + [sum(row[i] * t for row, t in zip(A, b, strict=True))]
        for i in range(p)
    ]
    for i in range(p):
        k = next(k for k in range(i, p) if M[k][i] != 0)
        M[i], M[k] = M[k], M[i]
        for k in range(p):
            if k != i and M[k][i] != 0:
                times = M[k][i] / M[i][i]
                M[k] = [a - times * c for a, c in zip(M[k], M[i], strict=True)]
    return np.array([float(M[i][p] / M[i][i]) for i in range(p)])


def root(f, low, high):
    """Where a rising f is zero."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return middle


def digits(got, want):
    """Right decimal digits of the worst of some numbers, at most 17."""
    want = np.asarray(want, float)
    off = np.abs(np.asarray(got, float) - want) / np.maximum(np.abs(want), 1e-300)
    return float(-np.log10(max(off.max(), 1e-17)))


def hilbert(n):
    """1/(i + j + 1), of condition about e^(3.5 n)."""
    return 1 / (np.arange(n)[:, None] + np.arange(n) + 1.0)


def powers(x, degree):
    return np.vander(x, degree + 1, increasing=True)[:, 1:]


# J. W. Longley (1967), An appraisal of least squares programs for the electronic computer, JASA 62:
# deflator, GNP, unemployed, armed forces, population, year; employed.
LONGLEY = np.array(
    """83 234289 2356 1590 107608 1947 60323
    88.5 259426 2325 1456 108632 1948 61122
    88.2 258054 3682 1616 109773 1949 60171
    89.5 284599 3351 1650 110929 1950 61187
    96.2 328975 2099 3099 112075 1951 63221
    98.1 346999 1932 3594 113270 1952 63639
    99 365385 1870 3547 115094 1953 64989
    100 363112 3578 3350 116219 1954 63761
    101.2 397469 2904 3048 117388 1955 66019
    104.6 419180 2822 2857 118734 1956 67857
    108.4 442769 2936 2798 120445 1957 68169
    110.8 444546 4681 2637 121950 1958 66513
    112.6 482704 3813 2552 123366 1959 68655
    114.2 502601 3931 2514 125368 1960 69564
    115.7 518173 4806 2572 127852 1961 69331
    116.9 554894 4007 2827 130081 1962 70551""".split(),
    float,
).reshape(16, 7)
CERTIFIED = [  # NIST's Statistical Reference Datasets, Longley: B1 … B6, B0
    15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359,
    -0.0511041056535807, 1829.15146461355, -3482258.63459582,
]  # fmt: skip
