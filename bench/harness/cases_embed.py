"""A service of somebody's own: what the ten lines of README cost beside plain Asio."""
from . import measure
from .cases import case, cost_table
from .cases_storm import storm, two_workers
from .measure import Contender

ASK = ["--send", "world\\n"]


@case("embed", "A service in ten lines")
def embed(bench, finding):
    """64 connections send a line and read one back: README's hello on preforkd, with all that the
    daemon does, against the same protocol in plain Asio coroutines in one bare process; and preforkd's
    echo and plain Asio's with 64 bytes."""
    hello = bench.contenders(Contender("hello on preforkd", "hellod", scheme="raw"),
                             Contender("asio_hello", "asio_hello", scheme="raw"))
    echo = bench.contenders(Contender("echo of preforkd", "preforkd", "PORT_ECHO", scheme="echo"),
                            Contender("asio_echo", "asio_echo", scheme="echo"))
    for name, contenders, arguments in (("asio_hello", hello, ASK), ("asio_echo", echo, ["--size", 64])):
        samples = measure.interleave(bench, contenders, ["-c", 64, *arguments], lambda one: "")
        cost_table(finding, samples, "message", name, name)


@case("embed-reload", "A service in ten lines, reloaded every half second")
def embed_reload(bench, finding):
    """HUP every 0.5 s while 64 clients talk with README's hello, in four ways."""
    found = two_workers(bench, Contender("hello on preforkd", "hellod", scheme="raw"))
    clients = [("busy", ["-c", 64]), ("thinking 2 ms", ["-c", 64, "--think", "2ms"]), ("one-shot", ["-c", 64, "-1"])]
    storm(bench, finding, found, lambda server: ["--storm", f"{server.pid}:HUP:500ms"],
          [(name, [*arguments, *ASK]) for name, arguments in clients])
