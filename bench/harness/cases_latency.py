"""Latency at fixed rates, and whether our client tells the truth."""
import os
import shutil
import signal
import threading
import time

from . import measure, processes
from .cases import account, case, without_histories
from .measure import url_of
from .results import micro, number

QUANTILES = ("p50", "p90", "p99", "p99.9", "p99.99")


@case("latency", "Latency at fixed rates", quick=True)
def latency(bench, finding):
    """Open loop over 64 connections: requests fall due at a fixed rate, and latency counts from then,
    so that a server that stalls cannot hide it. Rates are shares of what nginx can do here."""
    contenders = bench.contenders("preforkd", "nginx", "haproxy", "floor")
    reference = next((one for one in contenders if one.server == "nginx"), contenders[0])
    server = bench.start(reference)
    top = bench.clients.load(["-c", 64, "-d", "1s"], url_of(server, reference), server.pid)["per_second"]
    shares = (0.5,) if bench.plan.quick else (0.1, 0.25, 0.5, 0.9)
    by_share = {}
    for share in shares:
        samples = measure.interleave(bench, contenders, ["-c", 64, "-R", int(top * share)], lambda one: "/1k.html",
                                     seconds=max(1.0, bench.plan.seconds * 1.5))
        account(finding, samples, f"{share:.0%}")
        by_share[share] = samples
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
    finding.plot("half-load", "lines", title=f"Latency at {int(top * 0.5):,} requests/s", x_name="quantile",
                 y_name="latency, µs", log_x=False, x_labels=list(axis.items()),
                 series={label: [(i, median_of(half, label, name)) for i, name in axis.items()] for label in half.labels()})
    finding.plot("rates", "lines", title="p99.9 against the rate", x_name="requests per second", y_name="p99.9, µs",
                 series=curves, log_x=False)


def median_of(samples, label, quantile):
    values = sorted(sample["latency"][quantile] for sample in samples.by_label[label])
    return values[len(values) // 2]


@case("agree", "bench/load against wrk")
def agree(bench, finding):
    """The same server measured by both clients in turn: requests/s and server CPU a request, and what
    each client costs itself. They agree where nothing but the server's own work is the limit, as when it
    compresses each answer. Where the client is, the cheaper one shows more; and of small answers the
    faster client takes each sooner, so that the server finds fewer requests at a time and pays more
    for each."""
    if shutil.which("wrk") is None:
        return finding.note("wrk is not installed, so there is nothing to compare with.")
    gzip = ["-H", "Accept-Encoding: gzip"]
    shapes = (("compressed, 16 KiB", "nginx gzip", "/16k.bin", 8, gzip, {"arguments": gzip}),
              ("keep-alive", "nginx", "/1k.html", 64, [], {}),
              ("keep-alive, sendfile", "nginx sendfile", "/1k.html", 64, [], {}),
              ("keep-alive", "floor", "/1k.html", 64, [], {}),
              ("a connection each", "nginx", "/1k.html", 64, ["-1"],
               {"arguments": ["-H", "Connection: close"]}),
              ("pipelined × 16", "nginx", "/1k.html", 64, ["-p", 16], {"pipeline": 16}),
              ("100 KiB", "nginx", "/100k.bin", 64, [], {}))
    rows = []
    for title, label, path, connections, ours, theirs in shapes:
        for contender in bench.contenders(label):
            samples = both(bench, contender, path, connections, ours, theirs, title)
            account(finding, samples, f"{label}, {title}")
            for who in ("wrk", "load"):
                busy = samples.median(who, "per_second") * samples.median(who, "server_cpu_per_request") / 1e6
                rows.append([f"{label}, {title}", who, number(samples.median(who, "per_second"), 0),
                             number(samples.ratio(who, "wrk", "per_second"), 3), number(busy),
                             number(samples.median(who, "server_cpu_per_request")),
                             number(samples.ratio(who, "wrk", "server_cpu_per_request"), 3),
                             number(samples.median(who, "client_cpu_per_request")),
                             number(samples.ratio(who, "wrk", "client_cpu_per_request"), 3)])
    finding.table(["shape", "client", "requests/s", "÷ wrk", "server CPUs", "server µs", "÷ wrk", "client µs", "÷ wrk"],
                  rows, f"Medians of {bench.plan.rounds} rounds; ratios inside rounds.")


def both(bench, contender, path, connections, ours, theirs, title):
    samples = measure.Samples(bench.plan.rounds)
    server = bench.start(contender)
    bench.check(contender, server, path)
    url = url_of(server, contender, path)
    seconds = f"{max(1, round(bench.plan.seconds))}s"
    arguments = ["-t1", f"-c{connections}", f"-d{seconds}", *theirs.get("arguments", ())]
    for number_of_round in range(bench.plan.rounds):
        bench.progress(f"{title}: round {number_of_round + 1} of {bench.plan.rounds}")
        samples.add("wrk", bench.clients.wrk(arguments, url, server.pid, theirs.get("pipeline", 1)))
        samples.add("load", bench.clients.load(["-c", connections, "-d", seconds, *ours], url, server.pid))
    return samples


@case("stall", "A server that stops for 200 ms")
def stall(bench, finding):
    """SIGSTOP for 200 ms in the middle of 5 s, which is 4 % of the time. An open loop counts from when
    each request was due, so all that fell due meanwhile are slow; a closed loop sends nothing meanwhile
    and sees one slow answer a connection."""
    contender = bench.contenders("nginx", "floor")[0]
    server = bench.start(contender)
    url = url_of(server, contender)
    runs = [("load --rate 5000", lambda: bench.clients.load(["-c", 64, "-R", 5000, "-d", "5s"], url, server.pid)),
            ("load, closed loop", lambda: bench.clients.load(["-c", 64, "-d", "5s"], url, server.pid))]
    if shutil.which("wrk"):
        runs.append(("wrk", lambda: bench.clients.wrk(["-t1", "-c64", "-d5s"], url, server.pid)))
    rows = []
    for name, run in runs:
        bench.progress(name)
        thread = threading.Thread(target=freeze, args=(server, 2.5, 0.2))
        thread.start()
        result = run()
        thread.join()
        finding.hear(result)
        finding.raw[name] = without_histories(result)
        rows.append([name, f"{result['answered']:,}", *(micro(result["latency"][quantile])
                                                       for quantile in ("p50", "p99", "p99.9", "max"))])
    finding.table(["client", "answered", "p50", "p99", "p99.9", "max"], rows,
                  f"{contender.label}, 64 connections, frozen for 200 ms of 5 s.")


def freeze(server, after, length):
    """Stops the worker that does the work for a while."""
    time.sleep(after)
    target = max(processes.children(server.pid), default=server.pid)
    os.kill(target, signal.SIGSTOP)
    time.sleep(length)
    os.kill(target, signal.SIGCONT)
