"""What a case has found: tables, plots and remarks, ready to be written down."""
from dataclasses import dataclass, field


@dataclass
class Table:
    columns: list
    rows: list
    caption: str = ""


@dataclass
class Plot:
    name: str  # becomes a file's name
    svg: str


@dataclass
class Finding:
    """The result of one case."""
    name: str
    title: str
    about: str
    parts: list = field(default_factory=list)   # tables and plots in their order
    notes: list = field(default_factory=list)
    disturbed: str = ""
    seconds: float = 0.0
    raw: dict = field(default_factory=dict)

    def table(self, columns, rows, caption=""):
        self.parts.append(Table(columns, [[str(cell) for cell in row] for row in rows], caption))

    def plot(self, name, svg):
        self.parts.append(Plot(f"{self.name}-{name}" if name else self.name, svg))

    def note(self, words):
        self.notes.append(words)


def number(value, digits=2):
    return "–" if value is None else f"{value:,.{digits}f}"


def span(low, high, digits=2):
    return f"{low:,.{digits}f}–{high:,.{digits}f}"


def micro(microseconds):
    """A duration as people read it."""
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    return f"{microseconds / 1000:.2f} ms" if microseconds < 1e6 else f"{microseconds / 1e6:.2f} s"
