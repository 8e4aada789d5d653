"""J(θ) of a network over examples: shards in threads, micro-batches where memory ends."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._numpy.chains import BLOCK
from gdcore._typing import Array
from gdcore.continuation import fingerprint
from gdcore.data import Rows
from gdcore.models.arena import Shard
from gdcore.models.batch_cost import Backward, BatchCost
from gdcore.models.network import HEADS, Network, Scaling, scaling_for, targets
from gdcore.models.networked import Networked, judged

CHAIN_WORK = 1 << 21  # rows·parameters, from where on BLAS pays for its calls
CUT_WORK, CUT_SIZE = 1 << 24, 1 << 17  # rows·parameters, parameters: threads make up for it so far
CHAIN_PIECE = 1 << 20  # rows·parameters of a thread below which waking it costs more


class NetworkCost(Networked, BatchCost):
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

    def __init__(
        self, network: Network, rows: Rows, *, alpha: float = 0.0, scaling: Scaling = None,
        n_threads: int | None = None, full: bool = False, micro_batch: int | None = None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(network, alpha, n_threads, micro_batch, seed)
        self.rows = rows
        X: Any = rows.X
        self._X = X
        self._flat = np.ascontiguousarray(X.reshape(len(rows), -1))
        self._integers = self._X.dtype.kind in "iu"
        self._scalings: dict[Any, tuple[Array, Array]] = {}
        self._y = targets(rows.y, network.loss)
        self._columns = self._y.reshape(len(rows), -1)  # as the kernel of small networks takes them
        self._chain = None if self._integers else network.chain()
        # its NumPy twin has products over all rows, whose bits are not those of blocks
        self._cut_chain = kernels.backend()["chain_gradient"] == "native"
        self._begin(X, scaling, full)
        self._uniform = bool((rows.weights == 1).all())

    def __len__(self) -> int:
        return len(self.rows)

    def _of_all(self, theta: Array, g: Array, training: bool) -> float:
        """`gradient` over all rows."""
        return self.gradient(theta, g, np.arange(len(self.rows)), training=training)

    def _at_once(self, theta: Array, g: Array, rows: Array) -> float | None:
        """Summed loss and gradient by the kernel of small networks, or None."""
        work = len(rows) * self.size
        chained = work <= (CUT_WORK if self.size <= CUT_SIZE else CHAIN_WORK)
        return self._small(theta, g, rows) if chained and self._chain is not None else None

    def _small(self, theta: Array, g: Array, rows: Array) -> float:
        """The same for a small network of dense layers, by a kernel that sums over blocks of rows.

        The first thread adds its blocks up in g. Every other block has a gradient of its own, added
        when all are done: the sums that one thread would have made, to the bit.
        """
        shift, inverse = self._scalings.get(theta.dtype) or self._scaled_for(theta.dtype)
        scale, head = 1.0 / len(rows), HEADS[type(self.model.loss)]

        chain: Any = self._chain
        gradient: Callable[..., float] = kernels.chain_gradient

        def run(part: Array, into: Array) -> float:
            return gradient(
                self._flat, part, shift, inverse, self._columns, self.rows.weights, *chain,
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

    def _forward(self, shard: Shard, rows: Array, scale: float) -> tuple[float, Array, Backward]:
        """(summed loss, its gradient in the last outputs times scale, backward)."""
        x, y, weights = self._take(shard, rows)
        z, backward = self.model.layers(shard.scope, x)
        dz = shard.scope.buffer("dz", z.shape)
        return self.model.head(z, y, weights, scale, dz), dz, backward

    def _take(self, shard: Shard, rows: Array) -> tuple[Array, Array, Array]:
        """The shard's inputs, as the layers see them, its targets and weights."""
        scope, n = shard.scope, len(rows)
        if self._integers:
            x = scope.buffer("x", (n, *self._X.shape[1:]), self._X.dtype)
            np.take(self._X, rows, axis=0, out=x, mode="clip")
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

    def _scaled_for(self, dtype: Any) -> tuple[Array, Array]:
        """Shift and inverse scale as the gathering kernel takes them, for θ of this precision."""
        self._scalings[dtype] = scaling_for(self._scaling, self._flat.dtype, dtype)
        return self._scalings[dtype]

    def held_out(self, rows: Rows) -> Callable[[Array], tuple[float, float]]:
        """(the plain mean loss, the score) on other rows, as a function of θ: what early stopping
        watches."""
        X: Any = rows.X
        return judged(self.model, rows, lambda theta: self.model.predict(theta, X, self._scaling))

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again."""
        return {
            "loss": type(self.model.loss).__name__, "alpha": self.alpha, "seed": self.seed,
            "layers": repr(self.model.layers), "rows": fingerprint(self.rows),
        }  # fmt: skip
