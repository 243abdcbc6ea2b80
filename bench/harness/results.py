"""What a case has found: tables, plots and remarks, ready to be written down."""
import statistics
from dataclasses import asdict, dataclass, field

QUIET = 0.10  # CPUs that others may keep busy before a measurement counts as disturbed


@dataclass
class Table:
    columns: list
    rows: list
    caption: str = ""


@dataclass
class Plot:
    name: str        # becomes a file's name
    kind: str        # a function of svg.py
    arguments: dict  # of that function; lists, numbers and words only


@dataclass
class Finding:
    """The result of one case."""
    name: str
    title: str
    about: str
    parts: list = field(default_factory=list)   # tables and plots in their order
    notes: list = field(default_factory=list)
    foreign: list = field(default_factory=list)  # of each sample: CPUs that others kept busy
    stolen: list = field(default_factory=list)   # of each sample: CPUs that the host took away
    failed: str = ""     # why the case could not be run to its end
    seconds: float = 0.0
    raw: dict = field(default_factory=dict)
    context: dict = field(default_factory=dict)  # when, at which commit, with which options

    def table(self, columns, rows, caption=""):
        self.parts.append(Table(columns, [[str(cell) for cell in row] for row in rows], caption))

    def plot(self, name, kind, **arguments):
        self.parts.append(Plot(f"{self.name}-{name}" if name else self.name, kind, arguments))

    def note(self, words):
        if words not in self.notes:
            self.notes.append(words)

    def hear(self, *samples):
        """Remembers how noisy it was while these samples were taken."""
        self.foreign += [round(one["foreign"], 3) for one in samples]
        self.stolen += [round(one["stolen"], 3) for one in samples]

    @property
    def noise(self):
        """One sentence on who else used the machine; empty when nothing was timed."""
        if not self.foreign:
            return ""
        return (f"others kept {statistics.median(self.foreign):.2f} CPUs busy (median of {len(self.foreign)} samples; "
                f"worst {max(self.foreign):.2f}), the host took {statistics.median(self.stolen):.2f} away "
                f"(worst {max(self.stolen):.2f})")

    @property
    def disturbed(self):
        """Whether the noise was such that small differences are not to be believed."""
        return bool(self.foreign) and statistics.median(self.foreign) + statistics.median(self.stolen) > QUIET

    def to_json(self):
        parts = [{"is": type(part).__name__, **asdict(part)} for part in self.parts]
        return {**{key: value for key, value in vars(self).items() if key != "parts"}, "parts": parts}

    @staticmethod
    def from_json(data):
        kinds = {"Table": Table, "Plot": Plot}
        parts = [kinds[part["is"]](**{key: value for key, value in part.items() if key != "is"}) for part in data["parts"]]
        return Finding(**{**data, "parts": parts})


def number(value, digits=2):
    return "–" if value is None else f"{value:,.{digits}f}"


def span(low, high, digits=2):
    return f"{low:,.{digits}f}–{high:,.{digits}f}"


def micro(microseconds):
    """A duration as people read it."""
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    return f"{microseconds / 1000:.2f} ms" if microseconds < 1e6 else f"{microseconds / 1e6:.2f} s"
