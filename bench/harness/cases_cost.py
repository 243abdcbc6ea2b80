"""What a request costs the server, in the shapes that matter."""
from . import measure
from .cases import US, case, cost_table, floor_of
from .measure import Contender
from .paths import SIZES
from .results import number

EVERYBODY = ("preforkd", "nginx", "h2o", "lighttpd", "haproxy", "apache2", "floor")
BROWSER = [word for line in (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br", "DNT: 1",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; lang=en", "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none", "Priority: u=0, i")
    for word in ("-H", line)]


def compare(bench, finding, labels, arguments, path="/1k.html", what="request"):
    samples = measure.interleave(bench, bench.contenders(*labels), arguments, lambda one: path)
    cost_table(finding, samples, what)
    return samples


@case("keepalive", "Keep-alive, 64 connections, 1 KiB file", quick=True)
def keepalive(bench, finding):
    """64 connections stay open; each asks for a 1 KiB file as soon as it has its answer."""
    compare(bench, finding, EVERYBODY, ["-c", 64])


@case("oneshot", "A connection for each request", quick=True)
def oneshot(bench, finding):
    """64 clients open a connection, ask with Connection: close, and close when they have the answer, as
    wrk does. The client is the limit, so connections/s says little; one saturated core of the server
    accepts a million divided by the CPU µs a second."""
    samples = compare(bench, finding, ("preforkd", "nginx", "nginx deferred", "h2o", "lighttpd", "haproxy", "apache2",
                                       "floor", "floor deferred"), ["-c", 64, "-1"], what="connection")
    finding.table(["server", "connections/s that a saturated core would accept"],
                  [[label, number(1e6 / samples.median(label, US), 0)] for label in samples.labels()])


@case("pipeline", "Pipelined, 16 at once", quick=True)
def pipeline(bench, finding):
    """Each of 64 connections sends 16 requests in one packet and then reads 16 answers."""
    compare(bench, finding, EVERYBODY, ["-c", 64, "-p", 16])


@case("connections-1000", "Keep-alive, 1000 connections")
def connections_1000(bench, finding):
    """As keepalive, with 1000 busy connections."""
    compare(bench, finding, EVERYBODY, ["-c", 1000])


@case("browser", "Keep-alive with a browser's request")
def browser(bench, finding):
    """As keepalive, with the 496 bytes of header that Firefox sends."""
    compare(bench, finding, EVERYBODY, ["-c", 64, *BROWSER])


@case("log", "Keep-alive with an access log")
def log(bench, finding):
    """As keepalive, with an access log in combined format to a file."""
    compare(bench, finding, ("preforkd log", "preforkd", "nginx log", "nginx log, buffered", "floor"), ["-c", 64])


def large(bench, finding, name):
    samples = measure.interleave(
        bench, bench.contenders("preforkd", "nginx", "nginx sendfile", "nginx sendfile, no nopush", "h2o", "lighttpd",
                                "apache2", floor_of(SIZES[name])),
        ["-c", 64 if SIZES[name] < 1 << 20 else 16], lambda one: "/" + name,
        seconds=bench.plan.seconds if SIZES[name] < 1 << 20 else max(1.0, bench.plan.seconds))
    cost_table(finding, samples)
    finding.note("The floor copies from memory in one send; nginx's variants are the ways that its users argue about.")


@case("file-100k", "A 100 KiB file")
def file_100k(bench, finding):
    """64 connections ask for a file of 100 KiB."""
    large(bench, finding, "100k.bin")


@case("file-10m", "A 10 MiB file")
def file_10m(bench, finding):
    """16 connections ask for a file of 10 MiB."""
    large(bench, finding, "10m.bin")


@case("echo", "The echo service")
def echo(bench, finding):
    """64 connections send 64 bytes and read them back: preforkd's echo against plain Asio coroutines in
    one process and against the floor."""
    contenders = bench.contenders(Contender("preforkd", "preforkd", "PORT_ECHO", scheme="echo"),
                                  Contender("asio_echo", "asio_echo", scheme="echo"),
                                  Contender("floor", "floor", settings=(("FLAGS", ("--echo",)),), scheme="echo"))
    samples = measure.interleave(bench, contenders, ["-c", 64, "--size", 64], lambda one: "")
    cost_table(finding, samples, "message", "asio_echo")
