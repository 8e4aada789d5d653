"""One training step of a GPT in three sizes."""

from functools import partial

import pytest

from benchmarks import gpt
from benchmarks.gpt import Problem, Sizes
from benchmarks.group import Group, each
from benchmarks.networks import COMPILES, together
from benchmarks.replay import clock

BLOCK = 64  # query rows of the products whose attention is causal
MAKERS = {
    "torch: eager": gpt.torch_step,
    "torch: compiled": partial(gpt.torch_step, compiled=True),
    "products": gpt.products,
    "products: causal": partial(gpt.products, block=BLOCK),
}
SMOKE = Sizes(features=16, blocks=1, heads=2, places=64, batch=2)


def build(setting, sizes, names):
    """Every contender, those with a common start brought to the same place by three steps."""
    problem = Problem(SMOKE if setting.smoke else sizes)
    ours, cost = gpt.ours(problem, setting)
    peers = {name: MAKERS[name](problem, setting) for name in names[1:]}
    # one step of AdamW moves 1e-3
    return together(setting, ours, cost, peers, lambda apart: apart.mean() < 1e-5)


def group(sizes, threads, wanted):
    names = ["gdcore", "torch: eager"]
    names += ["torch: compiled"] if COMPILES else []
    names += ["products", "products: causal"] if threads == 1 else []
    wanted = {"torch: eager": wanted} | ({"products": 1 / 1.12} if threads == 1 else {})
    return Group(
        str(sizes), partial(build, sizes=sizes, names=tuple(names)), tuple(names), threads, wanted
    )


SIZES = {
    "128": (Sizes(128, 4, 4, 64, 12), 1.3),
    "64": (Sizes(64, 2, 2, 32, 8), 2.0),
    "384": (Sizes(384, 6, 6, 256, 8), 1.05),
}
STEPS = {
    f"{name} wide, {threads}": group(sizes, threads, wanted)
    for name, (sizes, wanted) in SIZES.items()
    for threads in (1, 2)
}


def write(setting, count):
    """Contenders that write so many tokens after a prompt."""
    problem = Problem(SMOKE if setting.smoke else SIZES["128"][0])
    count = 3 if setting.smoke else count
    return {
        "gdcore": gpt.writing(problem, setting, count),
        "torch: whole window": gpt.torch_writing(problem, setting, count, False),
        "torch: keys kept": gpt.torch_writing(problem, setting, count, True),
    }


WRITING = {
    "60 tokens": Group(
        "GPT 128 wide, 4 blocks, writes 60 tokens", partial(write, count=60),
        ("gdcore", "torch: whole window", "torch: keys kept"), 1,
        {"torch: whole window": 5},
    )
}  # fmt: skip
GROUPS = STEPS | WRITING


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(STEPS))
def test_step(contend, group, contender):
    contend(STEPS[group], contender)


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(WRITING))
def test_write(contend, group, contender):
    contend(WRITING[group], contender)
