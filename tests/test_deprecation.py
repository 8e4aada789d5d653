"""What leaves goes on to work, says so once, and names what to use."""

import inspect
import warnings

import pytest

from gdcore import deprecation
from gdcore.deprecation import deprecated, renamed


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.setattr(deprecation, "_told", set())


@deprecated("double", since="0.3", until="0.5")
def twice(x):
    """2x."""
    return 2 * x


@renamed(step_size="lr", rate="lr", since="0.3", until="0.5")
def step(theta, lr=0.1):
    return theta - lr


def test_a_function_that_leaves_says_so_once_where_it_is_called():
    said = r"^twice\(\) is deprecated since gdcore 0.3 and leaves with 0.5. Use double instead.$"
    with pytest.warns(FutureWarning, match=said) as told:
        assert twice(2) == 4
    assert told[0].filename == __file__
    assert twice(3) == 6  # warnings are errors in these tests
    assert (twice.__name__, twice.__doc__) == ("twice", "2x.")
    assert str(inspect.signature(twice)) == "(x)"


def test_a_renamed_keyword_goes_on_to_work():
    with pytest.warns(
        FutureWarning, match=r"step\(step_size=…\) is deprecated .* Use lr=… instead"
    ):
        assert step(1.0, step_size=0.5) == 0.5
    assert step(1.0, step_size=0.25) == 0.75
    assert step(1.0, lr=0.5) == step(1.0, 0.5) == 0.5
    with pytest.warns(FutureWarning, match=r"step\(rate=…\)"):
        assert step(1.0, rate=0.5) == 0.5


def test_the_old_and_the_new_name_at_once_are_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for again in ({"lr": 1}, {"rate": 1}):
            with pytest.raises(TypeError, match="got lr under its old name"):
                step(1.0, step_size=0.5, **again)
        with pytest.raises(TypeError, match="multiple values"):
            step(1.0, 0.5, step_size=0.5)
