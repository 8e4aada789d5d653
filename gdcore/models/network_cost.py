"""J(θ) of a network over examples: shards in threads, micro-batches where memory ends."""

from itertools import pairwise

import numpy as np

from gdcore import kernels
from gdcore._numpy.chains import BLOCK
from gdcore.cost import PlainCost
from gdcore.models.arena import Arena, Plan
from gdcore.models.network import HEADS, scaling_for, targets
from gdcore.optim.base import Rule
from gdcore.threads import Threads, resolve

MOST_BYTES = 1 << 28  # of an arena; a batch that needs more is accumulated from micro-batches
GOLDEN = 0x9E3779B97F4A7C15  # keys of successive steps differ in every bit
CHAIN_WORK = 1 << 21  # rows·parameters, from where on BLAS pays for its calls
CUT_WORK, CUT_SIZE = 1 << 24, 1 << 17  # rows·parameters, parameters: threads make up for it so far
CHAIN_PIECE = 1 << 20  # rows·parameters of a thread below which waking it costs more
LOOKED_AT = 256  # rows that tell which units are dead
SLICES = 1 << 17  # numbers of θ from where on a step is cut among the threads


class NetworkCost(PlainCost):
    """J(θ) = Σ sᵢℓᵢ(θ)/n + ½·alpha·‖W‖² over examples with weights sᵢ of mean one, W the weights.

    What the loop asks of a cost, and `step`, one step on some rows. The same bits for any number
    of threads: shards and tiles are cut by the sizes alone. Use it as a context, which holds the
    threads and keeps BLAS to one.

    Parameters
    ----------
    network : Network
    rows : Rows
        X (n, …), y (n,) or (n, k), weights (n,).
    alpha : float
    scaling : (shift, inverse), optional
        How the layers see the columns of X: (X − shift)·inverse.
    n_threads : int, optional
        Default: the cores that this process may use.
    full : bool
        Whether steps are to be on all rows: the gradient is then one of training.
    micro_batch : int, optional
        Rows that go through the network at once; default: as many as `MOST_BYTES` hold.
    seed : int
        Of dropout.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> from gdcore.data import Rows
    >>> from gdcore.models.network import Network
    >>> from gdcore.models.network_cost import NetworkCost
    >>> X, y = np.eye(4, dtype=np.float32), np.array([0.0, 1.0, 2.0, 0.0])
    >>> net = Network([gd.layers.Dense(8, "relu"), gd.layers.Dense(3)], (4,), gd.losses.Softmax())
    >>> theta, adam = net.init(0), gd.optim.Adam(0.01)
    >>> with NetworkCost(net, Rows(X, y, np.ones(4))) as cost:
    ...     first = cost.step(theta, adam, state := adam.init(theta), np.arange(4), adam.lr)
    ...     later = [cost.step(theta, adam, state, np.arange(4), adam.lr) for _ in range(100)][-1]
    >>> later < first / 4
    True
    """

    costly = True  # J is not measured over all rows between epochs of mini-batches
    keeps_precision = True

    def __init__(
        self, network, rows, *, alpha=0.0, scaling=None, n_threads=None, full=False,
        micro_batch=None, seed=0,
    ):  # fmt: skip
        self.model, self.rows, self.alpha, self.full = network, rows, float(alpha), full
        self.noisy = full and network.layers.random
        self.size, self.shapes = network.size, list(network.shapes().values())
        self._flat = np.ascontiguousarray(rows.X.reshape(len(rows), -1))
        self._integers = rows.X.dtype.kind in "iu"
        self._scaling, self._scalings = scaling, {}
        self._y = targets(rows.y, network.loss)
        self._columns = self._y.reshape(len(rows), -1)  # as the kernel of small networks takes them
        self.threads = Threads(resolve(n_threads), products=True)
        self.decayed = network.slices(lambda part: part.trainable and len(part.shape) > 1)
        self.frozen = network.slices(lambda part: not part.trainable)
        self.seed, self.steps, self._micro = seed, 0, micro_batch
        self._plans, self._arena, self._spare, self._g = {}, None, None, None
        self._chain = None if self._integers else network.chain()
        # its NumPy twin has products over all rows, whose bits are not those of blocks
        self._cut_chain = kernels.backend()["chain_gradient"] == "native"
        self._statistics = self._latest = None
        self.layers = [name for name in network.shapes() if name.endswith("weight")]
        self._uniform = bool((rows.weights == 1).all())

    def __enter__(self):
        self.threads.__enter__()
        return self

    def __exit__(self, *error):
        self.threads.__exit__(*error)

    def __len__(self):
        return len(self.rows)

    def step(self, theta, optimizer, state, rows, lr):
        """One step of an optimizer on the rows of these numbers; the mean loss that it met."""
        if self._g is None or self._g.dtype != theta.dtype:
            self._g = np.empty_like(theta)
        loss = self.gradient(theta, self._g, rows) / len(rows)
        met = loss + self.penalty(theta) if optimizer.needs_cost else None
        kept = self._kept(theta)
        self._move(theta, optimizer, state, lr, met)
        self._put_back(theta, kept)
        return loss

    def _kept(self, theta):
        """Copies of the parts that no optimizer is to move."""
        return [theta[part].copy() for part in self.frozen]

    def _put_back(self, theta, kept):
        for part, values in zip(self.frozen, kept, strict=True):
            theta[part] = values

    def gradient(self, theta, g, rows, training=True):
        """Summed loss over these rows; the gradient of their mean loss and penalty goes into g."""
        if training:
            self.steps += 1
        key = (self.seed + self.steps * GOLDEN) & 0xFFFFFFFFFFFFFFFF
        work = len(rows) * self.size
        chained = work <= (CUT_WORK if self.size <= CUT_SIZE else CHAIN_WORK)
        if chained and self._chain is not None:
            loss = self._small(theta, g, rows)
        elif len(rows) <= (micro := self._rows_at_once(theta, len(rows))):
            loss = self._pass(theta, g, rows, len(rows), (key, training))
        else:
            loss, (spare,) = 0.0, self._spare_for(g, 1)
            for number, a in enumerate(range(0, len(rows), micro)):
                into = spare if number else g
                part = rows[a : a + micro]
                loss += self._pass(theta, into, part, len(rows), (key + number, training))
                if number:
                    g += spare
        self._latest = g
        if self.alpha:
            for part in self.decayed:
                kernels.add_scaled(g[part], theta[part], self.alpha)
        return loss

    def _small(self, theta, g, rows):
        """The same for a small network of dense layers, by a kernel that sums over blocks of rows.

        The first thread adds its blocks up in g. Every other block has a gradient of its own, added
        when all are done: the sums that one thread would have made, to the bit.
        """
        shift, inverse = self._scalings.get(theta.dtype) or self._scaled_for(theta.dtype)
        scale, head = 1.0 / len(rows), HEADS[type(self.model.loss)]

        def run(part, into):
            return kernels.chain_gradient(
                self._flat, part, shift, inverse, self._columns, self.rows.weights, *self._chain,
                theta, head, scale, into,
            )  # fmt: skip

        threads = self.threads.n_threads if self._cut_chain else 1
        if threads > 1:
            blocks = -(-len(rows) // BLOCK)
            threads = min(threads, blocks, len(rows) * self.size // CHAIN_PIECE)
        if threads < 2:
            return run(rows, g)
        first = -(-blocks // threads)
        spare = self._spare_for(g, blocks - first)
        parts = [rows[block * BLOCK :][:BLOCK] for block in range(first, blocks)]
        pieces = [(rows[: first * BLOCK], g), *zip(parts, spare, strict=True)]
        loss = sum(self.threads.map(lambda piece: run(*piece), pieces))
        for each in spare:
            kernels.add_scaled(g, each, 1.0)
        return loss

    def _pass(self, theta, g, rows, total, how):
        """Summed loss of rows that fit into the arena; their gradient, divided by total, into g."""
        plan = self._plans.get(len(rows))
        if plan is None:
            plan = self._plans[len(rows)] = Plan(self.model, len(rows), self._arena, theta.dtype)
        plan.bind(theta, g)
        plan.begin(*how, self.threads)
        scale = 1.0 / total

        def run(shard):
            x, y, weights = self._take(shard, rows[shard.a : shard.b])
            z, backward = self.model.layers(shard.scope, x)
            dz = shard.scope.buffer("dz", z.shape)
            loss = self.model.head(z, y, weights, scale, dz)
            backward(dz, shard.gradient)
            return loss

        with np.errstate(all="ignore"):
            loss = sum(self.threads.map(run, plan.shards))
            plan.finish(self.threads)
        return loss

    def _take(self, shard, rows):
        """The shard's inputs, as the layers see them, its targets and weights."""
        scope, n = shard.scope, len(rows)
        if self._integers:
            x = scope.buffer("x", (n, *self.rows.X.shape[1:]), self.rows.X.dtype)
            np.take(self.rows.X, rows, axis=0, out=x, mode="clip")
        else:
            x = scope.buffer("x", (n, *self.model.shape))
            flat = x if x.ndim == 2 else x.reshape(n, -1)
            shift, inverse = self._scalings.get(x.dtype) or self._scaled_for(x.dtype)
            kernels.take_rows(self._flat, rows, shift, inverse, flat)
        y = scope.buffer("targets", (n, *self._y.shape[1:]), np.float64)
        np.take(self._y, rows, axis=0, out=y, mode="clip")
        weights = scope.buffer("weights", (n,), np.float64)
        if self._uniform:
            weights.fill(1)
        else:
            np.take(self.rows.weights, rows, out=weights, mode="clip")
        return x, y, weights

    def _scaled_for(self, dtype):
        """Shift and inverse scale as the gathering kernel takes them, for θ of this precision."""
        self._scalings[dtype] = scaling_for(self._scaling, self._flat.dtype, dtype)
        return self._scalings[dtype]

    def _rows_at_once(self, theta, rows):
        """Rows of a micro-batch: as many of these as an arena of MOST_BYTES holds."""
        if self._micro is None:
            self._micro = min(len(self.rows), max(1, MOST_BYTES // self._bytes_a_row(theta)))
        most = max(1, int(self._micro))
        if self._arena is None or self._arena.rows < min(rows, most):
            self._arena, self._plans = Arena(min(rows, most)), {}
        return most

    def _bytes_a_row(self, theta):
        """What two rows on their way through the network take, halved."""
        n = min(2, len(self.rows))
        self._arena, self._plans = Arena(n), {}
        kept = self._kept(theta)
        self._pass(theta, np.empty_like(theta), np.arange(n), n, (0, True))
        self._put_back(theta, kept)
        size, self._arena = max(1, self._arena.nbytes // n), None
        return size

    def _spare_for(self, g, count):
        """So many other vectors like g."""
        if self._spare is None or self._spare.dtype != g.dtype or len(self._spare) < count:
            self._spare = np.empty((count, len(g)), g.dtype)
        return self._spare[:count]

    def _move(self, theta, optimizer, state, lr, met):
        """The optimizer's step, cut among the threads where no coordinate sees another."""
        free = optimizer.elementwise and type(optimizer).step is Rule.step
        pieces = min(self.threads.n_threads, len(theta) // SLICES)
        with np.errstate(all="ignore"):
            if not free or pieces < 2:
                optimizer.step(theta, self._g, state, lr, cost=met)
                return
            optimizer.advance(state, lr)
            name, c = optimizer.kernel(state, lr)
            cuts = np.linspace(0, len(theta), pieces + 1).astype(int).tolist()

            def move(piece):
                moments = [state[moment][piece] for moment in optimizer.moments]
                kernels.update(name, theta[piece], self._g[piece], moments, c)

            self.threads.map(move, [slice(a, b) for a, b in pairwise(cuts)])

    def penalty(self, theta):
        """½·alpha·‖W‖²."""
        if not self.alpha:
            return 0.0
        return 0.5 * self.alpha * sum(kernels.dot(theta[p], theta[p]) for p in self.decayed)

    def value_and_gradient(self, theta, g):
        """J(θ) over all rows; its gradient is written into g."""
        everything = np.arange(len(self.rows))
        loss = self.gradient(theta, g, everything, training=self.full)
        self._statistics = self._kept(theta)
        return loss / len(everything) + self.penalty(theta)

    def sweep(self, theta, optimizer, state, *, order, rates, batch_size, average):
        """Steps over the batches of `order`, one rate each. Returns J as met on the way."""
        average[:] = 0
        total = 0.0
        for t, rate in enumerate(rates.tolist()):
            rows = order[t * batch_size : (t + 1) * batch_size]
            total += self.step(theta, optimizer, state, rows, rate) * len(rows)
            if len(average):
                average += theta
        average /= len(rates)
        return total / len(order) + self.penalty(theta)

    def layer_state(self, theta):
        """For each layer with weights: their norm, that of the latest gradient, dead units."""
        views = self.model.views(theta)
        slopes = None if self._latest is None else self.model.views(self._latest)
        dead = self.model.dead(theta, self.rows.X[:LOOKED_AT], self._scaling)
        weight = [kernels.norm(views[name].reshape(-1)) for name in self.layers]
        gradient = [
            np.nan if slopes is None else kernels.norm(slopes[name].reshape(-1))
            for name in self.layers
        ]
        owners = [name.partition(".")[0] for name in self.layers]
        return weight, gradient, [dead.get(int(owner), np.nan) for owner in owners]

    def held_out(self, rows):
        """The plain mean loss on other rows, as a function of θ: what early stopping watches."""
        y = targets(rows.y, self.model.loss)

        def loss(theta):
            z = self.model.predict(theta, rows.X, self._scaling)
            with np.errstate(all="ignore"):
                total = self.model.head(z, y, rows.weights, 1.0, np.empty_like(z))
            return total / float(rows.weights.sum())

        return loss

    def prox(self, theta, reach):
        """After a step on all rows: statistics are not the optimizer's to move. Changes theta."""
        self._put_back(theta, self._statistics)

    def baseline(self, theta, value):
        """A cost that no descent has business far above: that of the first θ."""
        return value

    def safe_rate(self, batch_size):
        """A rate for plain SGD to start from; J is not convex, so nothing better is known."""
        return 0.1
