"""Writes docs/gallery.md and its pictures: `python docs/make_gallery.py`; --check only compares.

Every picture is made by the lines of code beside it. --check runs all of them and says whether the
page that is there differs from the one it would write; --png FOLDER writes pictures of 800 pixels,
to be looked at.
"""

import argparse
import difflib
import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

DOCS = Path(__file__).parent
SETTINGS = {"svg.hashsalt": "gdcore", "svg.fonttype": "none", "savefig.dpi": 100}
HEAD = """# Gallery

Every picture of `gd.plots`, and the lines that make it. Displays are in scikit-learn's manner:
`from_estimator`, `from_result` or the like compute and draw, `plot(ax=…)` draws again, into Axes of
yours if you give some; `display.figure_.savefig("picture.png")` saves it. They need matplotlib:
`pip install gdcore[plot]`.

This page and its pictures are written by `python docs/make_gallery.py`.

```python
import numpy as np
import gdcore as gd

cancer = gd.datasets.load_breast_cancer()
diabetes = gd.datasets.load_diabetes()
digits = gd.datasets.load_digits()
```
"""
# (file, heading, what is to be seen, code that ends with a display)
PICTURES = [
    (
        "trace",
        "The course of a descent",
        "Cost and gradient norm at each step, on logarithmic axes where they span much. `x=` is "
        "`'step'`, `'seconds'`, `'epoch'` or `'examples'`; `excess=True` draws what of the cost is "
        "above its lowest, J*.",
        """
model = gd.LogisticRegression(optimizer="fista").fit(cancer.X, cancer.y)
display = gd.plots.TraceDisplay.from_estimator(model, excess=True)
""",
    ),
    (
        "network",
        "The course of a network's fit",
        "The held-out loss beside the cost; the held-out score and a learning rate that changes "
        "have panels of their own.",
        """
model = gd.MLPClassifier(
    hidden_layer_sizes=(64,), learning_rate=gd.schedules.Cosine(520), max_epochs=40,
    early_stopping=40, tol=0, random_state=0,
).fit(digits.X, digits.y)
display = gd.plots.TraceDisplay.from_estimator(model, x="epoch")
""",
    ),
    (
        "comparison",
        "Optimizers compared",
        "Steps and examples are two answers to which one is fastest; `x='seconds'` is a third. "
        "Costs are above the lowest that any of them reached.",
        """
runs = {
    name: gd.LogisticRegression(optimizer=name, tol=1e-6).fit(cancer.X, cancer.y)
    for name in ("newton", "lbfgs", "fista")
}
sgd = gd.LogisticRegression(optimizer="sgd", batch_size=16, max_epochs=300, tol=0, random_state=0)
runs["sgd, batches of 16"] = sgd.fit(cancer.X, cancer.y)
display = gd.plots.ComparisonDisplay.from_results(runs, x=("step", "examples"), excess=True)
""",
    ),
    (
        "path",
        "The path of descent",
        "A function of two numbers, and the way down of several methods.",
        """
def rosenbrock(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])

display = gd.plots.PathDisplay.from_function(
    rosenbrock, [-1.2, 1.0], method=["lbfgs", "adgd", gd.optim.Adam(0.05)],
    limits=((-1.6, 1.5), (-0.5, 1.9)), resolution=101,
)
""",
    ),
    (
        "slice",
        "The path through a network's landscape",
        "6,570 weights on their way through the plane of the path's first two principal "
        "components; the axes say how much of the way lies in it.",
        """
model = gd.MLPClassifier(
    hidden_layer_sizes=(64, 32), optimizer=gd.optim.SGD(0.1), max_epochs=20, tol=0, random_state=0
)
display = gd.plots.PathDisplay.from_estimator(model, digits.X, digits.y, resolution=25)
""",
    ),
    (
        "learning_rate",
        "A search for a learning rate",
        "The cost after a few steps at each rate, the edge beyond which they grow, and a rate that "
        "would do. The model stays untouched.",
        """
sgd = gd.LogisticRegression(optimizer="sgd", batch_size="full")
search = gd.find_learning_rate(sgd, cancer.X, cancer.y)
display = gd.plots.LearningRateDisplay.from_result(search)
""",
    ),
    (
        "layers",
        "The layers of a network",
        "Norms of weights and gradients, and the share of rectified units that no example excites "
        "any more: the rate is too large.",
        """
model = gd.MLPClassifier(
    hidden_layer_sizes=(64,) * 3, learning_rate=0.03, max_epochs=60, tol=0, random_state=0
).fit(digits.X, digits.y)
display = gd.plots.LayersDisplay.from_estimator(model)
""",
    ),
    (
        "lasso",
        "Coefficients against the penalty",
        "The lasso's path by warm starts: the more penalty, the fewer columns.",
        """
lasso = gd.LinearRegression(l1_ratio=1.0)
display = gd.plots.CoefficientsDisplay.from_estimator(
    lasso, diabetes.X, diabetes.y, alphas=np.geomspace(0.03, 50, 60), names=diabetes.feature_names
)
""",
    ),
    (
        "coefficients",
        "Coefficients along the descent",
        "Thirty columns, of which the eight largest coefficients have names.",
        """
model = gd.LogisticRegression(optimizer="fista", alpha=0.01)
display = gd.plots.CoefficientsDisplay.from_estimator(
    model, cancer.X, cancer.y, names=cancer.feature_names, named=8
)
""",
    ),
    (
        "attention",
        "What a GPT attends to",
        "A row is a token's distribution over itself and those before it; ␣ is a space. One panel "
        "a head.",
        """
gpt = gd.GPT(n_layer=2, n_head=2, n_embd=32, block_size=48, random_state=0)
gpt.fit("the cat sat on the mat, the dog lay on the log. " * 40, max_steps=300, learning_rate=3e-3)
display = gd.plots.AttentionDisplay.from_estimator(gpt, "the cat sat on the mat,", layer=1)
""",
    ),
    (
        "boundary",
        "The boundary between two classes",
        "P(benign) over two of thirty measurements, the others at their mean.",
        """
model = gd.LogisticRegression().fit(cancer.X, cancer.y)
display = gd.plots.BoundaryDisplay.from_estimator(
    model, cancer.X, cancer.y, features=("worst radius", "worst texture"),
    names=cancer.feature_names,
)
""",
    ),
    (
        "classes",
        "More classes",
        "The colours are as strong as the classes are probable.",
        """
rng = np.random.default_rng(0)
turn, kind = rng.uniform(0.3, 1, 300), np.repeat([0, 1, 2], 100)
angle = 5 * turn + 2.1 * kind + rng.normal(0, 0.15, 300)
X = turn[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
model = gd.MLPClassifier(hidden_layer_sizes=(32, 32), tol=0, random_state=0).fit(X, kind)
display = gd.plots.BoundaryDisplay.from_estimator(model, X, kind)
""",
    ),
    (
        "surface",
        "A regressor's surface",
        "The predictions, and the targets in the same colours.",
        """
rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, (300, 2))
y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2 / 2 + rng.normal(0, 0.1, 300)
model = gd.MLPRegressor(hidden_layer_sizes=(32, 32), tol=0, random_state=0).fit(X, y)
display = gd.plots.BoundaryDisplay.from_estimator(model, X, y)
""",
    ),
]  # fmt: skip


def page():
    """The text of docs/gallery.md."""
    parts = [HEAD]
    for file, heading, words, code in PICTURES:
        parts.append(
            f"## {heading}\n\n{words}\n\n![{heading}](gallery/{file}.svg)\n\n"
            f"```python\n{code.strip()}\n```\n"
        )
    return "\n".join(parts)


def opening():
    """The code that all others build on."""
    return HEAD.partition("```python\n")[2].partition("```")[0]


def draw(save):
    """Run all code and hand each figure to `save(file, figure)`."""
    names = {}
    exec(compile(opening(), "gallery, opening", "exec"), names)
    for file, _, _, code in PICTURES:
        with warnings.catch_warnings(), matplotlib.rc_context(SETTINGS):
            warnings.simplefilter("error")
            exec(compile(code, f"gallery, {file}", "exec"), names)
            save(file, names["display"].figure_)
        pyplot.close("all")


def write_svg(file, figure):
    """Without a date, so that the same picture is the same file."""
    figure.savefig(DOCS / "gallery" / f"{file}.svg", metadata={"Date": None})


def main():
    """0, or 1 where --check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare the page, write nothing")
    parser.add_argument("--png", type=Path, metavar="FOLDER", help="write PNG files there instead")
    asked = parser.parse_args()
    if asked.png is not None:
        draw(lambda file, figure: figure.savefig(asked.png / f"{file}.png"))
        return 0
    there = DOCS / "gallery.md"
    if not asked.check:
        (DOCS / "gallery").mkdir(exist_ok=True)
        draw(write_svg)
        there.write_text(page(), encoding="utf-8")
        return 0
    draw(lambda file, figure: figure.draw_without_rendering())
    old, new = there.read_text(encoding="utf-8").splitlines(), page().splitlines()
    missing = [f for f, *_ in PICTURES if not (DOCS / "gallery" / f"{f}.svg").exists()]
    for line in difflib.unified_diff(old, new, "docs/gallery.md", "as written now", lineterm=""):
        print(line)
    print("".join(f"docs/gallery/{file}.svg is missing\n" for file in missing), end="")
    if old == new and not missing:
        print("docs/gallery.md is up to date")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
