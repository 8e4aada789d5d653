"""The public names and signatures are those of the stored list; what leaves was announced."""

import re

import pytest

import gdcore
from tests import tally
from tests.trust import api

LINES = api.current()


def test_the_list_is_the_code():
    stored = api.stored()
    new = sorted(set(LINES) - set(stored))
    old = sorted(set(stored) - set(LINES))
    missed = api.broken(stored, LINES, api.gone())
    asked = api.demanded(stored, LINES)
    assert not asked, f"users would have to give {asked}, which they do not today"
    assert not missed, f"users would miss {missed}: see CONTRIBUTING.md for how a name leaves"
    assert (new, old) == ([], []), "names were added: write them down by `make api`"
    assert stored == LINES, "`make api` brings the list into order"
    tally.count("public names and signatures held", len(LINES))


def test_the_list_is_long_enough_to_be_one():
    text = "\n".join(LINES)
    for part in (
        "gdcore.optim.Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, eps_mode='outside', *",
        "gdcore.optim.Optimizer.bind(params, *, groups=None, schedule=None)",
        "gdcore.Status.GRADIENT: member",
        "gdcore.kernels.norm(a)",
        "gdcore.LinearRegression.coef_: fitted",
        "gdcore.minimize gives Result.message",
        "gdcore.trace.Trace.cost: column",
        "gdcore train: --target: required",
        "gdcore.layers.Layer.output(shape): abstract",
        "gdcore gpt generate: --top-k",
        "gd.save: format 1",
    ):
        assert part in text
    assert len(LINES) > 700
    assert len(set(LINES)) == len(LINES)
    assert " object at " not in text
    assert "->" not in text


@pytest.mark.parametrize(
    ("new", "right"),
    [
        ("f(a, b=1, *, c=None)", True),
        ("f(a, b=1, more=2, *, c=None)", True),
        ("f(a, b=1, *, c=None, d=0)", True),
        ("f(a, b=1, c=None)", True),
        ("f(a, b=1, *rest, c=None, **others)", True),
        ("f(a, b=2, *, c=None)", False),  # another default is another result
        ("f(b, a=1, *, c=None)", False),
        ("f(a, d=1, *, c=None)", False),
        ("f(a, b=1, *, d=None)", False),
        ("f(a, b=1, *, c=1)", False),
        ("f(a, b=1, *, c=None, d)", False),  # a call without d is right today
        ("f(a, more=0, b=1, *, c=None)", False),
        ("f(a, *, b=1, c=None)", False),
        ("f(a, b=1)", False),
        ("f: attribute", False),
        ("g(a, b=1, *, c=None)", False),
    ],
)
def test_what_breaks_a_call_is_found(new, right):
    old = "f(a, b=1, *, c=None)"
    assert api.broken([old], [new]) == ([] if right else [old])
    tally.count("changes of signatures judged")


def test_arguments_without_defaults_and_free_ones():
    assert api.broken(["f(a)"], ["f(a, b)"]) == ["f(a)"]
    assert api.broken(["f(*layers)"], ["f(layers)"]) == ["f(*layers)"]
    assert api.broken(["f(**starts)"], ["f()"]) == ["f(**starts)"]
    assert api.broken(["f(*layers)"], ["f(*layers, name=None)"]) == []


def test_what_is_asked_for_anew_is_found():
    old = ["gdcore train: file: required", "gdcore.layers.Layer.parts(shape): abstract"]
    for line in ("gdcore train: --seed: required", "gdcore.layers.Layer.size(shape): abstract"):
        assert api.demanded(old, [*old, line]) == [line]
    others = ["gdcore tune: file: required", "gdcore.layers.Block.size(shape): abstract"]
    assert api.demanded(old, [*old, *others, "gdcore train: --more"]) == []
    assert api.broken(["f(a): abstract"], ["f(a)"]) == []
    assert api.broken(["gdcore train: --target: required"], ["gdcore train: --target"]) == []


def test_every_line_of_the_list_can_be_judged():
    assert api.broken(LINES, LINES) == []
    held = [line for line in LINES if not line.startswith(api.FREE)]
    assert api.broken(LINES, []) == held
    left = {api.split(line)[0] for line in held}
    assert api.broken(LINES, [], left) == []


def minor(version):
    """(major, minor) of "0.3" or "0.3.1"."""
    return tuple(map(int, version.split(".")[:2]))


def test_what_is_gone_was_announced_long_enough():
    here = minor(gdcore.__version__)
    names = {api.split(line)[0] for line in LINES} | set(LINES)
    for name, (since, until, instead) in api.gone().items():
        assert name not in names, f"{name} is still there"
        assert minor(since)[0] < minor(until)[0] or minor(since)[1] + 2 <= minor(until)[1]
        assert minor(until) <= here
        assert instead


def test_nothing_is_written_while_a_name_is_missed(tmp_path, monkeypatch, capsys):
    kept = "# a list\ngdcore.optim.Sgd(lr=0.01)\n"
    monkeypatch.setattr(api, "STORED", tmp_path / "api.txt")
    monkeypatch.setattr(api, "current", lambda: ["gdcore.optim.SGD(lr=0.01)"])
    monkeypatch.setattr("sys.argv", ["api", "--write"])
    api.STORED.write_text(kept)
    assert api.main() is True
    assert "gdcore.optim.Sgd(lr=0.01)" in capsys.readouterr().out
    assert api.STORED.read_text() == kept
    monkeypatch.setattr(api, "GONE", tmp_path / "gone.txt")
    api.GONE.write_text("0.3 | 0.5 | gdcore.optim.Sgd | gdcore.optim.SGD\n")
    assert api.main() is False
    assert api.stored() == ["gdcore.optim.SGD(lr=0.01)"]
    assert re.search("1 lines, 1 of them new", capsys.readouterr().out)
