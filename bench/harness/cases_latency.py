"""Latency at fixed rates, and whether our client tells the truth."""
import os
import shutil
import signal
import threading
import time

from . import measure, svg
from .cases import case, judge_noise
from .results import micro, number, span

QUANTILES = ("p50", "p90", "p99", "p99.9", "p99.99")


@case("latency", "Latency at fixed rates", quick=True)
def latency(bench, finding):
    """Open loop over 64 connections: requests fall due at a fixed rate, and latency counts from then,
    so that a server that stalls cannot hide it. Rates are shares of what nginx can do here."""
    contenders = bench.contenders("preforkd", "nginx", "haproxy", "floor")
    reference = next((one for one in contenders if one.server == "nginx"), contenders[0])
    top = bench.clients.load(["-c", 64, "-d", "1s"], url_of(bench, reference), None)["per_second"]
    shares = (0.25, 0.5, 0.75) if bench.plan.quick else (0.1, 0.25, 0.5, 0.75, 0.9)
    by_share = {}
    for share in shares:
        samples = measure.interleave(bench, contenders, ["-c", 64, "-R", int(top * share)], lambda one: "/1k.html",
                                     seconds=max(1.0, bench.plan.seconds * 1.5))
        judge_noise(finding, samples)
        by_share[share] = samples
        finding.raw[f"{share:.0%}"] = samples.by_label
    rows, curves = [], {}
    for share, samples in by_share.items():
        for label in samples.labels():
            middle = [median_of(samples, label, quantile) for quantile in QUANTILES]
            low, high = (edge(sample["latency"]["p99.9"] for sample in samples.by_label[label]) for edge in (min, max))
            rows.append([f"{share:.0%}, {int(top * share):,}/s", label, *map(micro, middle), f"{micro(low)}–{micro(high)}",
                         f"{samples.total(label, 'never_sent'):,}", f"{samples.total(label, 'failed'):,}"])
            curves.setdefault(label, []).append((int(top * share), median_of(samples, label, "p99.9")))
    finding.table(["rate", "server", *QUANTILES, "p99.9 min–max", "never sent", "failed"], rows,
                  f"Medians of {bench.plan.rounds} rounds. {reference.label} alone made {top:,.0f}/s, closed loop.")
    half = by_share[0.5]
    axis = {i: name for i, name in enumerate(QUANTILES)}
    finding.plot("half-load", svg.lines(
        f"Latency at {int(top * 0.5):,} requests/s", "quantile", "µs",
        {label: [(i, median_of(half, label, name)) for i, name in axis.items()] for label in half.labels()},
        log_x=False, x_labels=axis))
    finding.plot("rates", svg.lines("p99.9 against the rate", "requests per second", "µs", curves, log_x=False))


def url_of(bench, contender, path="/1k.html"):
    server = bench.start(contender)
    return f"http://127.0.0.1:{server.ports[contender.port]}{path}"


def median_of(samples, label, quantile):
    values = sorted(sample["latency"][quantile] for sample in samples.by_label[label])
    return values[len(values) // 2]


@case("agree", "bench/load against wrk")
def agree(bench, finding):
    """The same server measured by both clients in turn: requests/s and server CPU a request, where
    the server is the limit, and what each client costs itself."""
    if shutil.which("wrk") is None:
        return finding.note("wrk is not installed, so there is nothing to compare with.")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pipeline.lua")
    shapes = (("keep-alive, 1 KiB", "nginx", "/1k.html", [], []),
              ("keep-alive, 1 KiB, sendfile", "nginx sendfile", "/1k.html", [], []),
              ("keep-alive, 1 KiB", "floor", "/1k.html", [], []),
              ("a connection each", "nginx", "/1k.html", ["-1"], ["-H", "Connection: close"]),
              ("pipelined × 16", "nginx", "/1k.html", ["-p", 16], ["-s", script]),
              ("100 KiB", "nginx", "/100k.bin", [], []))
    rows = []
    for title, label, path, ours, theirs in shapes:
        found = bench.contenders(label)
        if not found:
            continue
        samples = both(bench, found[0], path, ours, theirs, title)
        finding.raw[f"{label}, {title}"] = samples.by_label
        for who in ("wrk", "load"):
            rows.append([f"{label}, {title}", who, number(samples.median(who, "per_second"), 0),
                         number(samples.ratio(who, "wrk", "per_second"), 3),
                         number(samples.median(who, "server_cpu_per_request")),
                         number(samples.ratio(who, "wrk", "server_cpu_per_request"), 3),
                         number(samples.median(who, "client_cpu_per_request")),
                         span(*samples.spread(who, "client_cpu_per_request"))])
    finding.table(["shape", "client", "requests/s", "÷ wrk", "server µs", "÷ wrk", "client µs", "min–max"], rows,
                  "Medians; ratios inside rounds. Where the client is the limit, the cheaper one shows more requests/s.")


def both(bench, contender, path, ours, theirs, title):
    samples = measure.Samples(bench.plan.rounds)
    server = bench.start(contender)
    url = url_of(bench, contender, path)
    for number_of_round in range(bench.plan.rounds):
        bench.progress(f"{title}: round {number_of_round + 1} of {bench.plan.rounds}")
        theirs_now = bench.clients.wrk(["-t1", "-c64", "-d1s", *theirs], url, server.pid)
        samples.add("wrk", {**theirs_now, "foreign": 0.0})
        samples.add("load", bench.clients.load(["-c", 64, "-d", "1s", *ours], url, server.pid))
    return samples


@case("stall", "A server that stops for 200 ms")
def stall(bench, finding):
    """SIGSTOP for 200 ms in the middle of 5 s. A closed loop sends nothing meanwhile and so sees but one
    slow answer a connection; an open loop counts from when each request was due and so sees all that
    fell due. wrk is a closed loop that adds at the end what it reckons it has missed, and tells no
    quantile above p99."""
    contender = bench.contenders("nginx", "floor")[0]
    server = bench.start(contender)
    url = url_of(bench, contender)

    def freeze():
        time.sleep(2.5)
        target = max(tree_of(server), default=server.pid)
        os.kill(target, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(target, signal.SIGCONT)

    rows = []
    for name, run in (("load --rate 5000", lambda: bench.clients.load(["-c", 64, "-R", 5000, "-d", "5s"], url, None)),
                      ("load, closed loop", lambda: bench.clients.load(["-c", 64, "-d", "5s"], url, None)),
                      ("wrk", lambda: bench.clients.wrk(["-t1", "-c64", "-d5s", "--latency"], url, server.pid))):
        if name == "wrk" and shutil.which("wrk") is None:
            continue
        bench.progress(name)
        thread = threading.Thread(target=freeze)
        thread.start()
        result = run()
        thread.join()
        finding.raw[name] = result
        if name == "wrk":
            shown = [micro(result["percentiles"].get(share, 0)) for share in (50.0, 99.0)] + ["not told", micro(result["slowest"])]
        else:
            shown = [micro(result["latency"][quantile]) for quantile in ("p50", "p99", "p99.9", "max")]
        rows.append([name, f"{result['answered']:,}", *shown])
    finding.table(["client", "answered", "p50", "p99", "p99.9", "max"], rows,
                  f"{contender.label}, 64 connections, frozen for 200 ms of 5 s: 4 % of the time.")


def tree_of(server):
    from . import processes
    return processes.children(server.pid)
