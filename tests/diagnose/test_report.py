"""The page about a descent holds all it needs, says what happened, and fetches nothing."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import gdcore as gd
from gdcore.diagnose.report import MISSING, write
from tests.diagnose.problems import ILL, line, valley

VOID = {"meta", "br", "img", "hr", "link", "input"}


class Reader(HTMLParser):
    """Checks that every element is closed in its order; collects tags, ids and attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.given, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.given += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.given += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def network():
    data = gd.datasets.load_digits()
    model = gd.MLPClassifier(hidden_layer_sizes=(16,), early_stopping=True, random_state=0)
    return model.fit(data.X, data.y)


@pytest.fixture(scope="module")
def page(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "run.html"
    network.result_.report(path)
    return path.read_text(encoding="utf-8")


def test_it_is_whole_html_that_fetches_nothing(page):
    reader = read(page)
    assert page.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in page
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(reader.tags)
    fetching = {"src", "href", "xlink:href", "action", "data", "srcset", "poster"}
    outside = [(k, v) for k, v in reader.given if k in fetching and not v.startswith("#")]
    assert outside == []
    named = set(re.findall(r"https?://[^\"' <>)]+", page))
    assert named <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_it_says_what_happened(page, network):
    text = " ".join(" ".join(read(page).words).split())
    for words in (
        "MLPClassifier", network.result_.message, "Nothing found.", "hidden_layer_sizes",
        f"{network.result_.nit:,}", "NumPy", gd.__version__, "best held-out score",
    ):  # fmt: skip
        assert words in text
    assert page.count("<svg") == 2  # the course, and the layers
    assert "‖∇J‖" in text
    assert "held-out" in text


def test_rows_of_the_course_are_those_of_the_trace(page, network):
    trace = network.trace_
    last = page.rpartition("</tr></table></details>")[0].rpartition("<tr>")[2]
    cells = re.findall(r"<td class='number'>([^<]*)</td>", last)
    assert cells[0] == f"{int(trace.step[-1]):,}"
    assert cells[2] == f"{trace.cost[-1]:.5g}"


def test_findings_stand_on_the_page(tmp_path):
    result, _ = ILL["rate_too_large_for_a_function"][1](0)
    result.report(tmp_path / "ill.html", title="A rate <too> large")
    text = (tmp_path / "ill.html").read_text()
    read(text)
    assert "class='verdict ill'><strong>Diverging.</strong>" in text
    assert "Set the rate to 0.01" in text
    assert "<title>A rate &lt;too&gt; large</title>" in text


def test_several_descents_on_one_page(tmp_path):
    X, y = line(np.random.default_rng(0))
    fits = {
        "closed form": gd.LinearRegression(optimizer="closed-form").fit(X, y).result_,
        "descent": gd.LinearRegression(optimizer="sgd", batch_size="full").fit(X, y).result_,
        "a function": gd.minimize(valley, {"x": [1.0, 1.0]}["x"]),
    }
    write(fits, tmp_path / "all.html", "Three")
    text = (tmp_path / "all.html").read_text()
    read(text)
    for name in fits:
        assert f"<h2>{name}</h2>" in text
    ids = re.findall(r' id="([^"]+)"', text)
    clips = {each: ids.count(each) for each in set(ids) if each.startswith("p")}
    assert clips


def test_notebooks_show_the_same(network):
    html = network.result_._repr_html_()
    read(f"<div>{html}</div>")
    assert "<svg" in html
    assert "Nothing found." in html
    short = gd.minimize(valley, [1.0, 1.0], trace=False)
    assert short._repr_html_().startswith("<pre>")


def test_without_matplotlib_it_says_so(tmp_path, monkeypatch, network):
    for name in [each for each in sys.modules if each.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    network.result_.report(tmp_path / "plain.html")
    text = (tmp_path / "plain.html").read_text()
    assert MISSING in text
    assert "<svg" not in text
    assert network.result_.message.split(".")[0] in text


def test_a_folder_that_is_not_there_is_named(network, tmp_path):
    with pytest.raises(FileNotFoundError, match="Make it first"):
        network.result_.report(tmp_path / "no" / "run.html")
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_a_fit_whose_estimator_is_gone(tmp_path):
    X, y = line(np.random.default_rng(0))
    result = gd.LinearRegression(alpha=0.5).fit(X, y).result_
    result.report(tmp_path / "run.html")
    assert "alpha</th><td>0.5" in (tmp_path / "run.html").read_text()
    assert gd.doctor(result) == []
