"""How cost changes with connections, file size, pipeline depth and workers."""
import resource

from . import machine, measure
from .cases import US, account, case, floor_of
from .paths import SIZES
from .results import number


def sweep(bench, finding, points, x_name, x_labels=None, log_y=False):
    """points: {x: (words, contenders, arguments, path)}. One table and one plot of CPU by x."""
    rounds = max(3, bench.plan.rounds // 2)
    seconds = bench.plan.seconds * 0.6
    curves = {}
    for x, (words, contenders, arguments, path) in points.items():
        bench.progress(f"{x_name} {words}")
        samples = measure.interleave(bench, contenders, arguments, lambda one, path=path: path, rounds=rounds,
                                     seconds=max(seconds, 1.5 * busy_connections(arguments) / 19000))
        account(finding, samples, words)
        for label in samples.labels():
            name = "floor" if label.startswith("floor") else label
            curves.setdefault(name, {})[x] = samples.median(label, US)
    finding.table([x_name, *(f"{label}, µs" for label in curves)],
                  [[points[x][0], *(number(curve.get(x)) for curve in curves.values())] for x in points],
                  f"Server CPU µs a request, medians of {rounds} rounds of {seconds:.1f} s or more.")
    finding.plot("", "lines", title=finding.title, x_name=x_name, y_name="server CPU µs per request",
                 series={label: sorted(curve.items()) for label, curve in curves.items()}, x_labels=x_labels, log_y=log_y)


def busy_connections(arguments):
    """So many must be asked in turn before any is asked again."""
    return arguments[arguments.index("-c") + 1]


@case("connections", "Cost against the number of connections")
def connections(bench, finding):
    """Busy keep-alive connections from 10 to 19,000, 1 KiB file."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000
    counts = [count for count in (10, 100, 1000, 5000, 10000, 19000) if count <= limit]
    some = bench.contenders("preforkd", "nginx", "floor")
    sweep(bench, finding, {count: (f"{count:,}", some, ["-c", count, "-w", f"{max(0.2, count / 4000):.1f}s",
                                                        "--timeout", "20s"], "/1k.html")
                           for count in counts}, "connections")


@case("sizes", "Cost against the size of the file")
def sizes(bench, finding):
    """Keep-alive connections ask for files from 1 KiB to 10 MiB."""
    points = {size: (f"{size >> 10} KiB" if size < 1 << 20 else f"{size >> 20} MiB",
                     bench.contenders("preforkd", "nginx", "nginx sendfile, no nopush", floor_of(size)),
                     ["-c", 64 if size < 1 << 20 else 16], "/" + name) for name, size in SIZES.items()}
    sweep(bench, finding, points, "size", log_y=True,
          x_labels=[(x, words) for x, (words, *_) in points.items() if words != "100 KiB"])


@case("depths", "Cost against the pipeline's depth")
def depths(bench, finding):
    """64 connections send 1 to 32 requests at once."""
    some = bench.contenders("preforkd", "nginx", "h2o", "floor")
    sweep(bench, finding, {depth: (str(depth), some, ["-c", 64, "-p", depth], "/1k.html")
                           for depth in (1, 2, 4, 8, 16, 32)}, "requests at once",
          x_labels=[(depth, str(depth)) for depth in (1, 2, 4, 8, 16, 32)], log_y=True)


@case("workers", "Scaling with workers")
def workers(bench, finding):
    """1, 2 and 4 workers on all cores, which they share with the client: 64 keep-alive connections."""
    everywhere = machine.all_cores()
    rows, curves = [], {}
    for count in (1, 2, 4):
        for contender in bench.contenders("preforkd", "nginx", "h2o"):
            settings = {**dict(contender.settings), "WORKERS": count}
            if contender.server == "nginx":
                settings["REUSEPORT"] = "reuseport"
            server = bench.fleet.server(contender.server, everywhere.server, **settings)
            bench.check(contender, server)
            url = measure.url_of(server, contender)
            samples = measure.Samples(bench.plan.rounds)
            for _ in range(max(3, bench.plan.rounds // 2)):
                bench.progress(f"{count} workers: {contender.label}")
                samples.add(contender.label, bench.clients.load(
                    ["-c", 64, "-t", 2, "-d", f"{bench.plan.seconds}s"], url, server.pid, everywhere.client))
            account(finding, samples, f"{count} workers")
            rows.append([contender.label, count, number(samples.median(contender.label, "per_second"), 0),
                         number(samples.median(contender.label, US))])
            curves.setdefault(contender.label, []).append((count, samples.median(contender.label, "per_second")))
    finding.table(["server", "workers", "requests/s", "CPU µs/request"], rows)
    finding.plot("", "lines", title=finding.title, x_name="workers", y_name="requests per second", series=curves,
                 log_x=False, log_y=False, x_labels=[(1, "1"), (2, "2"), (4, "4")])
    if len(everywhere.server) < 4:
        finding.note(f"This machine has {len(everywhere.server)} cores, which clients and workers share: "
                     "it can show what more workers cost, not what they gain.")
