"""What is compared with what: groups of contenders that do the same work."""

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from threadpoolctl import threadpool_limits


@dataclass(frozen=True, eq=False)
class Group:
    """What is compared: `build(setting)` gives {contender: a call to be timed}.

    Contenders whose names begin with "gdcore" are compared with all others. A name may carry a
    variant after a colon, as "torch: fused". `wanted` is {peer: ratio} for plain "gdcore".
    A race has at least so many `rounds`: fewer where one takes long.
    """

    label: str
    build: Callable
    contenders: tuple
    threads: int = 1
    wanted: dict = field(default_factory=dict)
    rounds: int = 11


@dataclass(frozen=True)
class Setting:
    """For `build`: small sizes or not, the number of threads, and a stack for what must close."""

    smoke: bool
    threads: int
    stack: ExitStack


@dataclass(frozen=True)
class SelfTimed:
    """A contender that measures itself: a call that returns seconds."""

    seconds: Callable


def each(groups):
    """Parameters for one test a contender: (key of the group, contender)."""
    return [(key, name) for key, group in groups.items() for name in group.contenders]


@contextmanager
def opened(group, smoke):
    """The contenders of a group, every thread pool of the process held to its threads."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=group.threads), ExitStack() as stack:
        torch.set_num_threads(group.threads)
        try:
            contenders = group.build(Setting(smoke, group.threads, stack))
            assert set(contenders) == set(group.contenders)
            yield {name: contenders[name] for name in group.contenders}
        finally:
            torch.set_num_threads(before)


def once(run):
    """One call, for the smoke run."""
    return run.seconds() if isinstance(run, SelfTimed) else run()
