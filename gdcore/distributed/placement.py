"""Which worker holds which partitions."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

UNEVEN = 1.25  # times its share: a worker that holds more gives partitions away


def by_number(rows: Sequence[int], threads: Mapping[str, int]) -> list[str]:
    """The worker of each partition: runs of them, each worker's as long as its threads are many.

    It depends on nothing else, so that sums over workers have the same bits each time.
    """
    addresses = sorted(threads)
    cuts = np.cumsum([threads[address] for address in addresses]).astype(float)
    ends = np.cumsum(np.maximum(rows, 1))
    middles = (ends - np.diff(ends, prepend=0) / 2) / ends[-1] * cuts[-1]
    found = np.searchsorted(cuts, middles, side="right").tolist()
    return [addresses[min(each, len(addresses) - 1)] for each in found]


def by_holder(
    rows: Sequence[int], threads: Mapping[str, int], holders: Sequence[Collection[str]]
) -> list[str]:
    """The same where partitions lie already: moved are only those of whom has too many."""
    sizes = np.maximum(rows, 1).tolist()
    share = sum(sizes) / sum(threads.values())
    load, places = dict.fromkeys(sorted(threads), 0), []
    for size, holding in zip(sizes, holders, strict=True):
        filled = {address: load[address] / threads[address] for address in load}
        least = min(filled, key=filled.__getitem__)
        able = sorted(address for address in holding if address in threads)
        home = min(able, key=filled.__getitem__, default=least)
        if load[home] + size > UNEVEN * share * threads[home]:
            if filled[least] < filled[home]:
                home = least
        load[home] += size
        places.append(home)
    return places
