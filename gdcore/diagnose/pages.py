"""Pages that hold all they need: HTML without a script, a link or a file beside it."""

from collections.abc import Iterable
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .3rem; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .95rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid #d8dee4; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.verdict { padding: .6rem .9rem; border-left: .4rem solid #0072b2; background: #eef4fa; }
.verdict.ill { border-color: #d55e00; background: #fdf3ec; }
.note { color: #57606a; font-size: .9rem; }
svg { max-width: 100%; height: auto; }
details { margin: .5rem 0; } summary { cursor: pointer; }
pre { overflow-x: auto; }
"""
BEGINNING = (
    "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
    "<meta name='generator' content='gdcore'>"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # nothing is fetched, whatever it holds


def page(title: str, body: str) -> str:
    """A whole page."""
    return (
        f"{BEGINNING}\n"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )


def pairs(rows: Iterable[tuple[object, object]]) -> str:
    """A table of names and values."""
    cells = "".join(
        f"<tr><th scope='row'>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def grid(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of numbers under a head."""
    top = "".join(f"<th class='number' scope='col'>{escape(name)}</th>" for name in head)
    cells = "".join(
        "<tr>" + "".join(f"<td class='number'>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{top}</tr>{cells}</table>"


def inline(figure: Any, salt: str) -> str:
    """A matplotlib figure as SVG text to be put into a page, with the same ids each time."""
    import io

    import matplotlib

    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata=nothing, bbox_inches="tight")
    text = out.getvalue()
    return text[text.index("<svg") :]
