"""Weights packed for the kernel of products, where it does not read them as they lie."""

import threading

from gdcore import kernels
from gdcore._typing import Array
from gdcore.layers.calls import Call, prepared
from gdcore.layers.products import panel_numbers
from gdcore.parameters import aligned
from gdcore.threads import Threads, given_back

MOST_PACKED = 1 << 21  # parameters that are packed for all shards, which takes their memory twice
THREADED = 1 << 18  # numbers whose packing is worth several threads


class Packed:
    """Weights packed for the kernel of products, once a pass for all shards."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pairs: dict[tuple[str, bool], tuple[Array, Array]] = {}  # weights and their panels

    def forget(self) -> None:
        """θ lies elsewhere."""
        self._pairs.clear()

    def begin(self, threads: Threads) -> None:
        """θ has moved: pack what passes asked for so far."""
        pairs = list(self._pairs.values())
        if sum(panels.size for _, panels in pairs) < THREADED:
            for pair in pairs:
                kernels.pack_panels(*pair)
        else:
            threads.map(lambda pair: kernels.pack_panels(*pair), pairs)

    def multiplication(self, key: tuple[str, bool], a: Array, b: Array, out: Array) -> Call:
        """A call that computes out = a·b for the weights b of this key."""
        try:
            self._lock.acquire()
            if key not in self._pairs:
                panels = aligned(panel_numbers(b), b.dtype)
                kernels.pack_panels(b, panels)
                self._pairs[key] = b, panels
            return prepared(kernels.panel_product, a, self._pairs[key][1], False, out)
        finally:
            given_back(self._lock)
