"""The list of cases, and what each of them is given."""
from dataclasses import dataclass

from .check import EXCHANGES, check_exchanges, check_http
from .measure import Contender
from .results import Finding, number, span
from .servers import ServerError

US = "server_cpu_per_request"  # what most cases compare


@dataclass(frozen=True)
class Plan:
    """How much time may be spent."""
    quick: bool
    rounds: int
    seconds: float
    retry_seconds: float  # what may be spent, over all, on taking disturbed samples again
    storm_seconds: int


QUICK = Plan(True, rounds=3, seconds=0.5, retry_seconds=10, storm_seconds=3)
FULL = Plan(False, rounds=5, seconds=1.0, retry_seconds=60, storm_seconds=6)


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    function: object
    in_quick: bool
    in_full: bool

    @property
    def about(self):
        return " ".join(self.function.__doc__.split())


CASES = {}


def case(name, title, quick=False, full=True):
    """Registers a function (bench, finding) under a name. Its docstring says what it shows."""
    def register(function):
        CASES[name] = Case(name, title, function, quick, full)
        return function
    return register


CONTENDERS = {one.label: one for one in (
    Contender("preforkd", "preforkd"),
    Contender("preforkd log", "preforkd", settings=(("ACCESS_LOG", "access.log"),)),
    Contender("nginx", "nginx"),
    Contender("nginx sendfile", "nginx", "PORT_SENDFILE"),
    Contender("nginx sendfile, no nopush", "nginx", "PORT_NOPUSH_OFF"),
    Contender("nginx deferred", "nginx", "PORT_DEFERRED"),
    Contender("nginx log", "nginx", "PORT_LOG"),
    Contender("nginx log, buffered", "nginx", "PORT_LOG_BUFFERED"),
    Contender("nginx gzip", "nginx", "PORT_GZIP"),
    Contender("haproxy", "haproxy"),
    Contender("h2o", "h2o"),
    Contender("lighttpd", "lighttpd"),
    Contender("apache2", "apache2"),
    Contender("floor", "floor"),
    Contender("floor deferred", "floor", settings=(("FLAGS", ("--defer", "1")),)),
)}


def floor_of(size):
    return Contender(f"floor {size >> 10} KiB", "floor", settings=(("FLAGS", ("--size", str(size))),))


class Bench:
    """What a case works with."""

    def __init__(self, plan, workspace, fleet, clients, progress, only=()):
        self.plan, self.workspace, self.fleet, self.clients = plan, workspace, fleet, clients
        self.progress, self.only = progress, only
        self.notes = []
        self.retry_seconds = plan.retry_seconds
        self._checked = set()

    def contenders(self, *labels):
        """Those of the named contenders that are installed here (and asked for, by --only)."""
        return [one for one in (CONTENDERS.get(label, label) for label in labels)
                if self.fleet.has(one.server) and (not self.only or one.server in self.only)]

    def start(self, contender, **settings):
        """The contender's server, running and checked."""
        server = self.fleet.server(contender.server, **{**dict(contender.settings), **settings})
        self.check(contender, server)
        return server

    def start_all(self, contenders):
        """contender -> server of those that start and answer rightly; of the others a note."""
        servers = {}
        for one in contenders:
            try:
                servers[one] = self.start(one)
            except ServerError as error:
                self.notes.append(f"Left out: {error}.")
        if not servers:
            raise ServerError("no server to measure")
        return servers

    def check(self, contender, server, path="/1k.html"):
        """Raises ServerError unless this listener answers rightly; each is asked once."""
        key = (server, contender.port, path)
        if key in self._checked:
            return
        port = server.ports[contender.port]
        if contender.scheme in EXCHANGES:
            check_exchanges(contender.label, port, contender.scheme)
        elif contender.scheme == "http":
            content = None if contender.server == "floor" else self.workspace.content(path.lstrip("/"))
            check_http(contender.label, port, path, content)
        self._checked.add(key)


def cost_table(finding, samples, what="request", reference="nginx", plot=""):
    """The table that most cases share, and its bars. Ratios are to the best variant of `reference` and
    of the floor, where they were measured."""
    bases = {f"÷ {family}": samples.best(family, US) for family in (reference, "floor") if samples.best(family, US)}
    rows = []
    for label in samples.labels():
        rows.append([label, number(samples.median(label, US)), span(*samples.spread(label, US)),
                     *(number(samples.ratio(label, base, US)) for base in bases.values()),
                     number(samples.median(label, "per_second"), 0), span(*samples.spread(label, "per_second"), 0),
                     number(samples.median(label, "client_cpu_per_request")),
                     number(samples.median(label, "foreign")), f"{samples.total(label, 'failed'):,}"])
    finding.table(["server", f"CPU µs/{what}", "min–max", *bases, f"{what}s/s", "min–max", "client µs", "foreign CPUs",
                   "failed"], rows, f"{samples.rounds} rounds. Ratios are medians of the ratio inside one round, to "
                  + " and ".join(f"“{base}”" for base in bases.values()) + ".")
    finding.plot(plot, "bars", title=finding.title,
                 unit=f"server CPU µs per {what}: median of {samples.rounds} rounds, whiskers from min to max",
                 rows=[(label, samples.median(label, US), *samples.spread(label, US)) for label in samples.labels()])
    account(finding, samples, plot)


def account(finding, samples, name=""):
    """Keeps every sample for the report's JSON, the noise for its verdict, and tells of failures."""
    finding.hear(*samples.all())
    for label in samples.labels():
        finding.raw[f"{label} {name}".strip()] = [without_histories(one) for one in samples.by_label[label]]
        failed = samples.total(label, "failed")
        if failed:
            finding.note(f"{label} failed {failed:,} of {failed + samples.total(label, 'answered'):,} requests"
                         + (f" ({name})." if name else "."))


def without_histories(sample):
    """A sample without what only storms need: where it has time slices, their sum stands beside them."""
    return {key: value for key, value in sample.items() if key != "slices"}


def run_case(one, bench):
    """Runs one case and returns its Finding."""
    finding = Finding(one.name, one.title, one.about)
    bench.notes = finding.notes
    one.function(bench, finding)
    return finding
