"""Every rule once more, as its paper writes it: plain float64 NumPy, nothing in place.

Each function is a generator: started at x it takes (gradient, rate) by `send` and yields the next
point. Keywords and their meaning are gdcore's; the rate of a step is `lr`, the rule's own `base`.
"""

import math

import numpy as np


def sgd(x):
    while True:
        g, lr = yield x
        x = x - lr * g


def ball(x, mu, dampening, lr_in_buffer, ahead):
    b = None
    while True:
        g, lr = yield x
        slope = lr * g if lr_in_buffer else g
        b = slope if b is None else mu * b + (1 - dampening) * slope
        step = slope + mu * b if ahead else b
        x = x - step if lr_in_buffer else x - lr * step


def momentum(x, momentum=0.9, dampening=0.0, lr_in_buffer=False):
    return ball(x, momentum, dampening, lr_in_buffer, ahead=False)


def nesterov(x, momentum=0.9, lr_in_buffer=False):
    return ball(x, momentum, 0.0, lr_in_buffer, ahead=True)


def root(v, eps, mode, c=1.0):
    """The denominator, v corrected by c."""
    if mode == "inside":
        return np.sqrt(v / c + eps)
    return np.sqrt(v / c) + (eps / math.sqrt(c) if mode == "hat" else eps)


def adagrad(x, eps=1e-10, eps_mode="outside", initial_accumulator=0.0, lr_decay=0.0):
    v, t = initial_accumulator, 0
    while True:
        g, lr = yield x
        v = v + g**2
        x = x - lr / (1 + t * lr_decay) * g / root(v, eps, eps_mode)
        t += 1


def adadelta(x, decay=0.9, eps=1e-6):
    v = d = 0.0
    while True:
        g, lr = yield x
        v = decay * v + (1 - decay) * g**2
        step = np.sqrt(d + eps) / np.sqrt(v + eps) * g
        d = decay * d + (1 - decay) * step**2
        x = x - lr * step


def rmsprop(x, decay=0.99, eps=1e-8, eps_mode="outside", **keywords):
    names = ("centered", "momentum", "lr_in_buffer", "initial_accumulator", "bias_correction")
    assert set(keywords) <= set(names)
    centered, mu, inside, v, corrected = (keywords.get(name, 0) for name in names)
    mean, b, t = 0.0, 0.0, 0
    while True:
        g, lr = yield x
        t += 1
        v = decay * v + (1 - decay) * g**2
        mean = decay * mean + (1 - decay) * g
        c = 1 - decay**t if corrected else 1.0
        spread = v / c - (mean / c) ** 2 if centered else v / c
        step = g / root(spread, eps, eps_mode)
        b = mu * b + (lr * step if inside else step)
        x = x - (b if inside else lr * b)


def adam_like(x, beta1, beta2, move):
    """Points by x ← move(x, t, g, lr, m, v)."""
    m = v = 0.0
    t = 0
    while True:
        g, lr = yield x
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        x = move(x, t, g, lr, m, v)


def adam(x, beta1=0.9, beta2=0.999, eps=1e-8, eps_mode="outside"):
    def move(x, t, g, lr, m, v):
        return x - lr * m / (1 - beta1**t) / root(v, eps, eps_mode, 1 - beta2**t)

    return adam_like(x, beta1, beta2, move)


def amsgrad(x, beta1=0.9, beta2=0.999, eps=1e-8, eps_mode="outside", maximum="raw"):
    most = [0.0]

    def move(x, t, g, lr, m, v):
        c = 1 - beta2**t
        most[0] = np.maximum(most[0], v if maximum == "raw" else v / c)
        v_hat = most[0] / c if maximum == "raw" else most[0]
        if eps_mode == "inside":
            return x - lr * m / (1 - beta1**t) / np.sqrt(v_hat + eps)
        add = eps / math.sqrt(c) if eps_mode == "hat" else eps
        return x - lr * m / (1 - beta1**t) / (np.sqrt(v_hat) + add)

    return adam_like(x, beta1, beta2, move)


def adamw(x, base, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01, eps_mode="outside", **mode):
    independent = mode.get("decay_mode", "lr") == "independent"

    def move(x, t, g, lr, m, v):
        step = lr * m / (1 - beta1**t) / root(v, eps, eps_mode, 1 - beta2**t)
        return x - (lr / base if independent else lr) * decay * x - step

    return adam_like(x, beta1, beta2, move)


def nadam(x, beta1=0.9, beta2=0.999, eps=1e-8, eps_mode="outside", psi=0.004):
    product = [1.0]

    def mu(t):
        return beta1 if psi is None else beta1 * (1 - 0.5 * 0.96 ** (t * psi))

    def move(x, t, g, lr, m, v):
        product[0] *= mu(t)
        after = product[0] * mu(t + 1)
        ahead = mu(t + 1) * m / (1 - after) + (1 - mu(t)) * g / (1 - product[0])
        return x - lr * ahead / root(v, eps, eps_mode, 1 - beta2**t)

    return adam_like(x, beta1, beta2, move)


def radam(x, beta1=0.9, beta2=0.999, eps=1e-8, eps_mode="hat", threshold=5.0, strict=True):
    end = 2 / (1 - beta2) - 1

    def move(x, t, g, lr, m, v):
        m_hat = m / (1 - beta1**t)
        length = end - 2 * t * beta2**t / (1 - beta2**t)
        if not (length > threshold if strict else length >= threshold):
            return x - lr * m_hat
        r = (length - 4) * (length - 2) * end / ((end - 4) * (end - 2) * length)
        return x - lr * math.sqrt(r) * m_hat / root(v, eps, eps_mode, 1 - beta2**t)

    return adam_like(x, beta1, beta2, move)


def adamax(x, beta1=0.9, beta2=0.999, eps=1e-8, eps_mode="inside"):
    u = [0.0]

    def move(x, t, g, lr, m, v):
        inside = eps_mode == "inside"
        u[0] = np.maximum(beta2 * u[0], np.abs(g) + eps if inside else np.abs(g))
        return x - lr * m / (1 - beta1**t) / (u[0] if inside else u[0] + eps)

    return adam_like(x, beta1, beta2, move)


def lion(x, beta1=0.9, beta2=0.99, decay=0.0):
    m = 0.0
    while True:
        g, lr = yield x
        x = x - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * x)
        m = beta2 * m + (1 - beta2) * g


def schedule_free(y, beta, scaled, decay, warmup, r, lr_power):
    """The paper's three sequences: y sees gradients, z takes steps, x is the mean; yields y."""
    x = z = y
    total, most, t = 0.0, 0.0, 0
    while True:
        g, lr = yield y
        t += 1
        lr = lr * min(1.0, t / warmup) if warmup else lr
        most = max(most, lr)
        weight = t**r * most**lr_power
        total += weight
        z = z - lr * (scaled(t, g) + decay * y)
        x = (1 - weight / total) * x + weight / total * z
        y = (1 - beta) * z + beta * x


def schedulefreesgd(x, momentum=0.9, decay=0.0, warmup=0, r=0.0, lr_power=2.0):
    return schedule_free(x, momentum, lambda t, g: g, decay, warmup, r, lr_power)


def schedulefreeadamw(x, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0, **rest):
    v = [0.0]

    def scaled(t, g):
        v[0] = beta2 * v[0] + (1 - beta2) * g**2
        return g / (np.sqrt(v[0] / (1 - beta2**t)) + eps)

    settings = {"warmup": 0, "r": 0.0, "lr_power": 2.0} | rest
    return schedule_free(x, beta1, scaled, decay, **settings)


def dowg(x, eps=1e-4):
    first, r, v = x, eps, 0.0
    while True:
        g, lr = yield x
        r = max(r, ((x - first) ** 2).sum())
        v = v + r * (g**2).sum()
        x = x - lr * r / (math.sqrt(v) + eps) * g


def prodigy(x, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0, d0=1e-6, d_coef=1.0, **flags):
    """Scaled by d/d0 nowhere: the authors' code does it to numerator and denominator alike."""
    first, d, m, v, s, numerator, t = x, d0, 0.0, 0.0, 0.0, 0.0, 0
    beta3 = math.sqrt(beta2)
    while True:
        g, lr = yield x
        t += 1
        rate = d * lr
        if flags.get("bias_correction"):
            rate *= math.sqrt(1 - beta2**t) / (1 - beta1**t)
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * (d * g) ** 2
        numerator = beta3 * numerator + d * rate * (g * (first - x)).sum()
        s = beta3 * s + d * (d if flags.get("safeguard_warmup") else rate) * g
        d = max(d, d_coef * numerator / np.abs(s).sum())
        x = x - rate * decay * x - rate * m / (np.sqrt(v) + d * eps)


def adafactor(x, beta2_decay=-0.8, eps1=None, eps2=1e-3, clip=1.0, decay=0.0):
    """One part, a matrix or a vector."""
    least = np.finfo(np.float64).eps if eps1 is None else eps1
    r = c = v = 0.0
    t = 0
    while True:
        g, lr = yield x
        t += 1
        beta = 1 - t**beta2_decay
        if x.ndim == 2:
            r = beta * r + (1 - beta) * (g**2).mean(axis=1)
            c = beta * c + (1 - beta) * (g**2).mean(axis=0)
            estimate = np.outer(r, c) / max(r.mean(), least)
        else:
            v = estimate = beta * v + (1 - beta) * g**2
        u = g / np.maximum(np.sqrt(estimate), least)
        u = u / max(1.0, math.sqrt((u**2).mean()) / clip)
        length = max(eps2, math.sqrt((x**2).mean())) * min(lr, 1 / math.sqrt(t))
        x = x - lr * decay * x - length * u


def muon(x, momentum=0.95, decay=0.0, nesterov=True, iterations=5, eps=1e-7, **mode):
    """One matrix, by its singular values: Newton and Schulz's iteration is a polynomial of them."""
    m, t, (rows, columns) = 0.0, 0, x.shape
    ratio = {"rows": rows / columns, "columns": columns / rows, "none": 1.0, "rms": 1.0}
    kappa = math.sqrt(max(1.0, ratio[mode.get("adjust", "rows")]))
    if mode.get("adjust") == "rms":
        kappa = 0.2 * math.sqrt(max(rows, columns))
    while True:
        g, lr = yield x
        t += 1
        m = momentum * m + (1 - momentum) * g
        now, ahead = 1.0, 1.0
        if mode.get("bias_correction"):
            now, ahead = 1 - momentum**t, 1 - momentum ** (t + 1)
        u = momentum * m / ahead + (1 - momentum) * g / now if nesterov else m / now
        U, s, V = np.linalg.svd(u, full_matrices=False)
        norm = math.sqrt((s**2).sum())
        s = s / (max(norm, eps) if mode.get("eps_mode") == "floor" else norm + eps)
        for _ in range(iterations):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        x = x - lr * decay * x - lr * kappa * (U * s) @ V


def start(name, x, base, **keywords):
    """The rule's generator, at its first point."""
    more = {"base": base} if name == "AdamW" else {}
    path = globals()[name.lower()](x, **more, **keywords)
    next(path)
    return path
