"""What a diagnosis says: findings, each a symptom with its number, and a cure."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from textwrap import fill


@dataclass(frozen=True)
class Finding:
    """One illness: its name, what was seen of it, the number that tells, and what to do.

    Example
    -------
    >>> import gdcore as gd
    >>> run = gd.minimize(lambda x: (x @ x, 2 * x), [1.0], method=gd.optim.SGD(1.1))
    >>> (finding,) = gd.doctor(run)
    >>> finding.illness, round(finding.number, 6)  # rate × curvature, above 2
    ('diverging', 2.2)
    """

    illness: str
    symptom: str
    number: float
    cure: str

    def __str__(self) -> str:
        return f"{self.illness}: {self.symptom} {self.cure}"


class Findings(list[Finding]):
    """A list of `Finding`, worst first, that prints itself; empty where nothing was found.

    `unseen` says what could not be examined, and what it takes.

    Example
    -------
    >>> import gdcore as gd
    >>> found = gd.doctor(gd.minimize(lambda x: (x @ x, 2 * x), [1.0]))
    >>> found, found.verdict, len(found)
    (Nothing found., 'nothing found', 0)
    """

    def __init__(self, found: Iterable[Finding] = (), unseen: Iterable[str] = ()) -> None:
        super().__init__(found)
        self.unseen = list(unseen)

    @property
    def illnesses(self) -> list[str]:
        """The names of what was found."""
        return [finding.illness for finding in self]

    @property
    def verdict(self) -> str:
        """One line: the illnesses, or that nothing was found."""
        return ", ".join(self.illnesses) or "nothing found"

    def __repr__(self) -> str:
        lines = [] if self else ["Nothing found."]
        for finding in self:
            lines.append(finding.illness)
            lines += [
                fill(text, 96, initial_indent=start, subsequent_indent="          ")
                for start, text in (("  symptom ", finding.symptom), ("  cure    ", finding.cure))
            ]
        return "\n".join([*lines, *(f"Not examined: {text}" for text in self.unseen)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{escape(f.illness)}</th><td>{escape(f.symptom)}</td>"
            f"<td>{escape(f.cure)}</td></tr>"
            for f in self
        )
        unseen = "".join(f"<p>Not examined: {escape(text)}</p>" for text in self.unseen)
        if not self:
            return f"<p>Nothing found.</p>{unseen}"
        head = "<tr><th>illness</th><th>symptom</th><th>cure</th></tr>"
        return f"<table class='findings'>{head}{rows}</table>{unseen}"
