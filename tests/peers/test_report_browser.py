"""The page about a descent in a real browser: it renders, runs no script, and asks for nothing.

Needs Chromium or Chrome on the path; .ci/run installs it where apt can.
"""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

import gdcore as gd

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is here")


def browse(path, folder, *asked):
    """What the browser writes to its standard output."""
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-component-update", "--disable-background-networking", "--no-first-run",
            f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}",
            "--window-size=800,2400", *asked, path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    data = gd.datasets.load_digits()
    model = gd.MLPClassifier(hidden_layer_sizes=(16,), early_stopping=True, random_state=0)
    folder = tmp_path_factory.mktemp("page")
    model.fit(data.X, data.y).result_.report(folder / "run.html")
    return folder / "run.html"


class Shapes(HTMLParser):
    """Counts elements, and collects words."""

    def __init__(self):
        super().__init__()
        self.count, self.words = {}, []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_data(self, data):
        self.words.append(data)


def test_the_browser_sees_pictures_and_words(page, tmp_path):
    shapes = Shapes()
    shapes.feed(browse(page, tmp_path, "--dump-dom"))
    assert shapes.count["svg"] == 2
    assert shapes.count["path"] > 20
    assert "script" not in shapes.count
    assert "Nothing found." in " ".join(shapes.words)


def test_it_asks_the_network_for_nothing(page, tmp_path):
    browse(page, tmp_path, "--dump-dom")
    text = (tmp_path / "net.json").read_text(encoding="utf-8").rstrip().rstrip(",")
    log = json.loads(text if text.endswith("}") else text + "]}")
    asked = {event["params"]["url"] for event in log["events"] if "url" in event.get("params", {})}
    ours = {url for url in asked if not url.startswith(("chrome", "devtools", "data:"))}
    outside = {url for url in ours if url.startswith(("http:", "https:", "ws:", "wss:"))}
    # The browser's own update and account services are not the page's.
    assert {url for url in outside if "google" not in url and "gvt1" not in url} == set()
    assert all(page.name in url for url in ours - outside)


def test_it_is_drawn(page, tmp_path):
    """Not one colour, nor two: the curves and the text are there."""
    picture = tmp_path / "page.png"
    browse(page, tmp_path, f"--screenshot={picture}")
    from matplotlib.image import imread

    pixels = imread(picture)
    assert pixels.shape[1] == 800
    blue = (abs(pixels[..., :3] - (0, 0x72 / 255, 0xB2 / 255)) < 0.05).all(axis=2)
    assert 500 < blue.sum() < 50_000
    assert (pixels[..., :3] > 0.99).all(axis=2).mean() > 0.5
