"""Pictures of the course of a descent: what is in the artists, not how it looks."""

import subprocess
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

import gdcore as gd
from gdcore.diagnose import drawing
from gdcore.result import Result
from gdcore.trace import LayerTrace, Trace
from tests.diagnose.drawing import drawn

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.figure import Figure

plots = gd.plots
CANCER, DIABETES = gd.datasets.load_breast_cancer(), gd.datasets.load_diabetes()


@pytest.fixture(scope="module")
def fista():
    return gd.LogisticRegression(optimizer="fista", max_epochs=60, tol=0).fit(CANCER.X, CANCER.y)


@pytest.fixture(scope="module")
def network():
    model = gd.MLPClassifier(
        hidden_layer_sizes=(8, 6), learning_rate=gd.schedules.Cosine(60), max_epochs=8, tol=0,
        early_stopping=50, random_state=0,
    )  # fmt: skip
    return model.fit(CANCER.X, CANCER.y)


def made(rows, **columns):
    trace = Trace()
    for i in range(rows):
        trace.add(**{name: values[i] for name, values in columns.items()})
    return Result(trace=trace, optimizer="made", status=gd.Status.EPOCHS)


# TraceDisplay


@pytest.mark.parametrize("x", list(drawing.UNITS))
def test_trace_has_the_numbers_of_the_trace(fista, ax, x):
    display = drawn(plots.TraceDisplay.from_estimator(fista, x=x, ax=ax))
    trace = fista.trace_
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert list(display.axes_) == ["cost", "gradient_norm"]
    for name in ("cost", "gradient_norm"):
        line = display.lines_[name]
        assert line.get_ydata().tolist() == getattr(trace, name).tolist()
        assert line.get_xdata().tolist() == getattr(trace, x).tolist()
        assert line.axes is display.axes_[name]
    assert display.axes_["cost"].get_ylabel() == "cost J"
    below = display.axes_["gradient_norm"]
    assert below.get_ylabel() == "‖∇J‖"
    assert below.get_xlabel() == drawing.UNITS[x]
    assert below.get_yscale() == "log"
    assert "LogisticRegression" in ax.get_title()
    assert "FISTA" in ax.get_title()


@pytest.mark.parametrize("excess", [True, 0.06])
def test_excess_is_above_the_lowest_or_a_given_cost(fista, ax, excess):
    display = drawn(plots.TraceDisplay.from_estimator(fista, excess=excess, ax=ax))
    cost = fista.trace_.cost
    above = cost - (cost.min() if excess is True else excess)
    assert display.lines_["cost"].get_ydata().tolist() == above[above > 0].tolist()
    assert ax.get_ylabel() == "J − J*"
    assert ax.get_yscale() == "log"


def test_a_network_shows_what_was_held_out_and_a_rate_that_changes(network, ax):
    display = drawn(plots.TraceDisplay.from_estimator(network, x="epoch", ax=ax))
    assert list(display.axes_) == ["cost", "score", "learning_rate"]  # ‖∇J‖ is known once alone
    trace = network.trace_
    assert display.lines_["validation"].get_ydata().tolist() == trace.validation.tolist()
    assert display.lines_["score"].get_ydata().tolist() == trace.score.tolist()
    assert display.lines_["learning_rate"].get_ydata().tolist() == trace.learning_rate.tolist()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["cost J", "held-out loss"]


def test_panels_are_chosen_and_kwargs_are_the_lines(fista, ax):
    display = plots.TraceDisplay.from_estimator(fista, show="cost", ax=ax, color="red", label="a")
    assert list(display.axes_) == ["cost"]
    assert ax.figure.axes == [ax]
    assert (display.lines_["cost"].get_color(), display.lines_["cost"].get_label()) == ("red", "a")


def test_rows_without_a_number_are_skipped(ax):
    cost = [3.0, np.nan, 2.0, np.inf, 1.0]
    result = made(5, step=[0, 1, 2, 3, 4], cost=cost)
    line = drawn(plots.TraceDisplay.from_result(result, ax=ax)).lines_["cost"]
    assert line.get_xdata().tolist() == [0, 2, 4]
    assert line.get_ydata().tolist() == [3, 2, 1]


@pytest.mark.parametrize(("x", "excess"), [("step", False), ("seconds", False), ("step", True)])
def test_one_row_is_a_point(x, excess, ax):
    model = gd.LinearRegression(optimizer="closed-form").fit(DIABETES.X, DIABETES.y)
    display = drawn(plots.TraceDisplay.from_estimator(model, x=x, excess=excess, ax=ax))
    other = drawn(plots.ComparisonDisplay.from_results({"1": model}, x=x, ax=Figure().subplots()))
    assert other.lines_["1"].get_ydata().tolist() == model.trace_.cost.tolist()
    assert len(display.lines_["cost"].get_ydata()) == (0 if excess else 1)
    assert display.lines_["cost"].get_marker() == "o"


def test_log_axes_need_numbers_that_are_far_apart_and_positive(ax):
    for cost, scale in (([2.0, 1.0], "linear"), ([99.0, 1.0], "log"), ([99.0, -1.0], "linear")):
        figure = Figure()
        result = made(2, step=[0, 1], cost=cost)
        display = drawn(plots.TraceDisplay.from_result(result, ax=figure.subplots()))
        assert display.ax_.get_yscale() == scale


def test_bad_arguments(fista):
    with pytest.raises(ValueError, match=r"x='steps' is not known. Did you mean 'step'"):
        plots.TraceDisplay.from_estimator(fista, x="steps")
    with pytest.raises(ValueError, match="show='rate' is not known"):
        plots.TraceDisplay.from_estimator(fista, show=["rate"])
    with pytest.raises(ValueError, match="not fitted yet"):
        plots.TraceDisplay.from_estimator(gd.LinearRegression())
    with pytest.raises(TypeError, match="needs a Result or a fitted estimator, got int"):
        plots.TraceDisplay.from_result(3)
    result = gd.minimize(lambda x: (x @ x, 2 * x), [1.0], trace=False)
    with pytest.raises(ValueError, match="Call minimize with trace=True"):
        plots.TraceDisplay.from_result(result)
    with pytest.raises(ValueError, match="ax holds 3 Axes, and there are 2 panels"):
        plots.TraceDisplay.from_estimator(fista, ax=Figure().subplots(3))


# Axes, given and new


def test_given_axes_are_divided_within_their_place(fista):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    free = figure.add_axes((0.1, 0.4, 0.2, 0.3))
    for ax in (right, free):
        before = ax.get_position()
        display = drawn(plots.TraceDisplay.from_estimator(fista, ax=ax))
        boxes = [each.get_position() for each in display.axes_.values()]
        assert boxes[0].y1 == pytest.approx(before.y1)
        assert boxes[1].y0 == pytest.approx(before.y0)
        assert boxes[1].y1 < boxes[0].y0
        assert {round(box.x0, 9) for box in boxes} == {round(before.x0, 9)}
        assert display.ax_ is ax
    assert len(left.lines) == 0
    given = Figure().subplots(2)
    display = plots.TraceDisplay.from_estimator(fista, ax=given)
    assert list(display.axes_.values()) == list(given)


def test_without_axes_a_figure_of_pyplots_800_pixels_wide(fista):
    before = dict(matplotlib.rcParams)
    display = drawn(plots.TraceDisplay.from_estimator(fista))
    assert pyplot.get_fignums() == [display.figure_.number]
    assert display.figure_.get_figwidth() * display.figure_.dpi == 800
    again = display.plot()
    assert again is display
    assert len(pyplot.get_fignums()) == 2
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_not_imported_where_axes_are_given():
    code = """if True:
        import sys
        import gdcore as gd
        gd.plots.TraceDisplay
        assert "matplotlib" not in sys.modules
        from matplotlib.figure import Figure
        run = gd.minimize(lambda x: (x @ x, 2 * x), [3.0, 1.0], method="sgd")
        gd.plots.TraceDisplay.from_result(run, ax=Figure().subplots())
        gd.plots.ComparisonDisplay.from_results({"a": run}, x="step", ax=Figure().subplots())
        gd.plots.PathDisplay.from_function(
            lambda x: (x @ x, 2 * x), [3.0, 1.0], ax=Figure().subplots(), resolution=5)
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_matplotlib_the_error_says_what_to_install(fista, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r"^gd.plots needs matplotlib. Install it: pip install gdcore\[plot\]$"
    X, y = CANCER.X, CANCER.y
    for call in (
        lambda: plots.TraceDisplay.from_estimator(fista),
        lambda: plots.TraceDisplay.from_result(fista.result_),
        lambda: plots.ComparisonDisplay.from_results({"a": fista}),
        lambda: plots.LayersDisplay.from_estimator(fista),
        lambda: plots.LearningRateDisplay([1.0], [1.0]).plot(),
        lambda: plots.PathDisplay.from_function(lambda x: x, [0.0]),
        lambda: plots.PathDisplay.from_path(len, np.ones((2, 2))),
        lambda: plots.PathDisplay.from_estimator(fista, X, y),
        lambda: plots.CoefficientsDisplay.from_estimator(fista, X, y),
        lambda: plots.AttentionDisplay.from_estimator(None, "a"),
        lambda: plots.BoundaryDisplay.from_estimator(fista, X, y),
    ):
        with pytest.raises(ImportError, match=message):
            call()


@pytest.mark.parametrize("name", [name for name in plots.__all__ if name != "Path"])
def test_every_display_is_drawn_again_by_plot_and_shows_an_example(name):
    kind = getattr(plots, name)
    assert callable(kind.plot)
    assert any(each.startswith("from_") for each in vars(kind))
    assert ">>> " in kind.__doc__


def test_lines_differ_by_more_than_colour():
    ax = Figure().subplots()
    lines = [drawing.line(ax, [0, 1], [0, i], i) for i in range(28)]
    looks = {(each.get_color(), each.get_linestyle(), each.get_marker()) for each in lines}
    assert len(looks) == 28
    assert len({each.get_color() for each in lines[:7]}) == 7
    beyond_colour = {(each.get_linestyle(), each.get_marker()) for each in lines[:7]}
    assert len(beyond_colour) == 7


# ComparisonDisplay


def test_descents_compared(fista):
    other = gd.LogisticRegression(optimizer="lbfgs").fit(CANCER.X, CANCER.y)
    runs = {"fista": fista, "l$bfgs": other.result_}
    display = drawn(plots.ComparisonDisplay.from_results(runs, excess=True))
    assert list(display.axes_) == ["step", "seconds", "examples"]
    labels = [ax.get_xlabel() for ax in display.axes_.values()]
    assert labels == ["steps", "seconds", "examples seen"]
    best = min(fista.trace_.cost.min(), other.trace_.cost.min())
    for name, ax in display.axes_.items():
        line = ax.lines[0]
        assert line.get_ydata().tolist() == (fista.trace_.cost - best).tolist()
        assert line.get_xdata().tolist() == getattr(fista.trace_, name).tolist()
    assert display.ax_.get_ylabel() == "J − J*"
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == ["fista", r"l\$bfgs"]


def test_comparison_in_one_given_axes(fista, ax):
    runs = {"a": fista, "b": fista}
    display = drawn(plots.ComparisonDisplay.from_results(runs, x="step", ax=ax))
    assert display.ax_ is ax
    assert ax.figure.axes == [ax]
    assert ax.get_legend() is not None
    assert display.lines_["b"].get_ydata().tolist() == fista.trace_.cost.tolist()


def test_ends_far_apart_are_on_a_logarithmic_axis_from_the_first_step_on():
    runs = {
        name: made(3, step=[0, last / 2, last], cost=[3.0, 2.0, 1.0])
        for name, last in (("short", 4), ("long", 400))
    }
    display = drawn(plots.ComparisonDisplay.from_results(runs, x="step"))
    assert display.ax_.get_xscale() == "log"
    assert 0 < display.ax_.get_xlim()[0] < 2
    near = drawn(plots.ComparisonDisplay.from_results({"short": runs["short"]}, x="step"))
    assert near.ax_.get_xscale() == "linear"


def test_bad_comparisons(fista):
    with pytest.raises(ValueError, match="results must be a dict"):
        plots.ComparisonDisplay.from_results([fista])
    with pytest.raises(ValueError, match="at least one"):
        plots.ComparisonDisplay.from_results({})
    with pytest.raises(ValueError, match="x='time' is not known"):
        plots.ComparisonDisplay.from_results({"a": fista}, x="time")


# LearningRateDisplay


def test_learning_rate_curve_and_marks(ax):
    rates = np.geomspace(1e-4, 10, 6)
    costs = np.array([0.9, 0.5, np.nan, 0.2, 30.0, np.inf])
    found = SimpleNamespace(rates=rates, costs=costs, learning_rate=0.03, edge=0.5)
    display = drawn(plots.LearningRateDisplay.from_result(found, ax=ax))
    assert display.ax_ is ax
    assert display.line_.get_xdata().tolist() == rates[[0, 1, 3, 4]].tolist()
    assert display.line_.get_ydata().tolist() == [0.9, 0.5, 0.2, 30.0]
    assert set(display.marks_["suggestion"].get_xdata()) == {0.03}
    assert set(display.marks_["edge"].get_xdata()) == {0.5}
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("learning rate", "cost J", "log")
    low, high = ax.get_ylim()
    assert low < 0.2
    assert 0.9 < high < 2  # what diverged does not flatten the rest
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["cost J", "suggestion: 0.03", "edge: 0.5"]


def test_a_search_without_an_edge(ax):
    display = plots.LearningRateDisplay([0.1, 1.0], [-2.0, -3.0], learning_rate=1.0, edge=np.nan)
    assert list(drawn(display.plot(ax)).marks_) == ["suggestion"]
    drawn(plots.LearningRateDisplay([0.1], [1.0]).plot(Figure().subplots()))


# LayersDisplay


def test_layers_have_the_norms_of_the_trace(network, ax):
    display = drawn(plots.LayersDisplay.from_estimator(network, ax=ax))
    layers = network.trace_.layers
    assert list(display.axes_) == ["weight", "gradient", "dead"]
    assert display.ax_ is ax
    for kind, lines in display.lines_.items():
        for i, line in enumerate(lines):
            values = getattr(layers, kind)[:, i]
            known = np.isfinite(values)
            assert line.get_ydata().tolist() == values[known].tolist()
            assert line.get_xdata().tolist() == layers.step[known].tolist()
            assert line.get_label() == layers.names[i]
    assert display.axes_["dead"].get_xlabel() == "steps"
    assert display.axes_["weight"].get_ylabel() == "‖W‖"


def test_many_layers_in_one_row(ax):
    layers = LayerTrace([f"{i}.weight" for i in range(12)])
    layers.append(0, ([1.0] * 12, [0.1] * 12, [np.nan] * 12))
    display = drawn(plots.LayersDisplay(layers).plot(ax))
    assert list(display.axes_) == ["weight", "gradient"]
    assert len({line.get_color() if isinstance(line.get_color(), str) else tuple(line.get_color())
                for line in display.lines_["weight"]}) == 12  # fmt: skip


def test_what_has_no_layers(fista):
    with pytest.raises(ValueError, match="The trace has no layers"):
        plots.LayersDisplay.from_estimator(fista)
