"""Header-only: many steps of one coordinate at once, of which nothing is known but its own decay,
drift and shrinkage: what rows that lack it do to it.

A step is u ← soft((1 − ε)·u − drift, shrink). On one side of zero n of them are
u·(1 − ε)ⁿ − force·(1 − (1 − ε)ⁿ)/ε with force = drift ± shrink.
"""
from libc.math cimport ceil, expm1, log1p

from _math cimport exp_negative, inline_double


cdef inline inline_double less_one(double x) noexcept nogil:
    """eˣ − 1 for x ≤ 0, without cancellation."""
    cdef double x2 = x * x
    cdef double even = ((x2 + 840) * x2 + 75600) * x2 + 665280  # eˣ by Padé (6, 6), as in _math.pxd
    cdef double odd = x * ((42 * x2 + 10080) * x2 + 332640)
    if x < -0.34:
        return exp_negative(x) - 1
    return 2 * odd / (even - odd)


cdef inline inline_double grown(double n, double rest, const double *powers) noexcept nogil:
    """(1 − ε)ⁿ − 1 for rest = log(1 − ε), from the table where there is one."""
    if powers != NULL:
        return powers[<Py_ssize_t>n]
    return less_one(n * rest)


cdef inline inline_double glide(
    double u, double n, double epsilon, double change, double force,
) noexcept nogil:
    """n steps that do not meet zero; change is (1 − ε)ⁿ − 1."""
    if epsilon == 0:
        return u - n * force
    return u + change * (u + force / epsilon)


cdef inline inline_double meeting(
    double u, double n, double epsilon, double rest, double force,
) noexcept nogil:
    """The step, from 1 to n, that takes u > 0 to zero or beyond, where one does."""
    cdef double m
    if not force > 0:
        return n
    m = ceil(u / force if epsilon == 0 else log1p(u * epsilon / force) / -rest)
    m = m if m > 1 else 1
    return m if m < n else n


cdef inline double lagged(
    double u, double n, double epsilon, double rest, double drift, double shrink,
    const double *powers,
) noexcept nogil:
    """u after n steps."""
    cdef double sign, m, last
    if n <= 0:
        return u
    if shrink == 0:
        return glide(u, n, epsilon, grown(n, rest, powers), drift)
    if u == 0:
        if abs(drift) <= shrink:
            return 0
        sign = -1.0 if drift > 0 else 1.0
        return sign * glide(0, n, epsilon, grown(n, rest, powers), shrink - abs(drift))
    sign = 1.0 if u > 0 else -1.0
    u, drift = sign * u, sign * drift
    last = glide(u, n, epsilon, grown(n, rest, powers), drift + shrink)
    if last > 0:
        return sign * last
    if drift <= shrink:
        return 0
    m = meeting(u, n, epsilon, rest, drift + shrink)
    last = glide(u, m - 1, epsilon, grown(m - 1, rest, powers), drift + shrink)
    last = (1 - epsilon) * (last if last > 0 else 0) - drift + shrink
    last = -last if last < 0 else 0
    return -sign * glide(last, n - m, epsilon, grown(n - m, rest, powers), shrink - drift)


cdef inline double lagged_sum(
    double u, double n, double epsilon, double rest, double shrink,
) noexcept nogil:
    """Σ u over n steps without drift."""
    cdef double sign = 1.0 if u > 0 else -1.0, first, second
    u = sign * u
    if n <= 0 or u == 0:
        return 0
    if glide(u, n, epsilon, expm1(n * rest), shrink) <= 0:
        n = meeting(u, n, epsilon, rest, shrink) - 1
    if epsilon * n < 1e-3:  # binomial series, where the closed form would cancel
        first = n - epsilon * (n + 1) * n / 2 * (
            1 - epsilon * (n - 1) / 3 * (1 - epsilon * (n - 2) / 4 * (1 - epsilon * (n - 3) / 5)))
        second = (n + 1) * n / 2 * (
            1 - epsilon * (n - 1) / 3 * (
                1 - epsilon * (n - 2) / 4 * (
                    1 - epsilon * (n - 3) / 5 * (1 - epsilon * (n - 4) / 6))))
    else:
        first = (1 - epsilon) * -expm1(n * rest) / epsilon  # Σ (1 − ε)ⁱ
        second = (n - first) / epsilon  # Σ (1 − (1 − ε)ⁱ)/ε
    return sign * (u * first - shrink * second)
