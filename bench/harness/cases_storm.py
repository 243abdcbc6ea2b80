"""Storms: what clients lose while an administrator does something to the server again and again."""
import os
import re
import shutil
import signal
import threading

from . import machine
from .cases import case, without_histories
from .measure import url_of
from .results import micro
from .servers import free_port

CLIENTS = (("busy", ["-c", 64]), ("thinking 2 ms", ["-c", 64, "--think", "2ms"]), ("one-shot", ["-c", 64, "-1"]),
           ("pipelined × 16", ["-c", 64, "-p", 16]))
KINDS_OF_FAILURE = ("refused", "no_connection", "reset", "end_of_stream", "truncated", "timeout", "bad_status",
                    "wrong_content", "stale_generation", "unanswered")


class Repeater(threading.Thread):
    """Does something every so often until told to stop."""

    def __init__(self, action, every):
        super().__init__(daemon=True)
        self.action, self.every, self.over, self.times = action, every, threading.Event(), 0

    def run(self):
        while not self.over.wait(self.every):
            self.action(self.times)
            self.times += 1

    def stop(self):
        self.over.set()
        self.join()


def failures_in(result):
    return {kind: sum(result["failures"][kind].values()) for kind in KINDS_OF_FAILURE
            if sum(result["failures"][kind].values())}


def add_row(rows, shown, label, client, result, actions):
    failed = failures_in(result)
    rows.append([label, client, actions, f"{result['answered']:,}", f"{result['failed']:,}",
                 ", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in failed.items()) or "none",
                 f"{result['connections_opened']:,}", f"{result['closes_announced']:,}",
                 f"{result['closes_while_idle']:,}", micro(result["latency"]["max"])])
    shown.setdefault(client, []).append((label, result))


DRAWN = ("seconds", "slice_seconds", "slices", "signals_at_seconds", "answered", "failed")
COLUMNS = ["server", "clients", "times", "answered", "failed", "by class", "connections", "announced closes",
           "closes seen idle", "slowest"]


def storm(bench, finding, contenders, arguments_for, clients=CLIENTS, action=None, every=0.5):
    """Each contender under each kind of client. Either load sends signals itself (`arguments_for`
    gives its --storm), or `action(server, number)` is done every `every` seconds."""
    everywhere = machine.all_cores()
    rows, shown = [], {}
    for client, arguments in clients:
        for label, contender, settings in contenders:
            server = bench.fleet.server(contender.server, everywhere.server, **settings)
            bench.check(contender, server)
            bench.progress(f"{label}, {client}")
            repeater = Repeater(lambda number, server=server: action(server, number), every) if action else None
            if repeater:
                repeater.start()
            try:
                result = bench.clients.load([*arguments, "-d", f"{bench.plan.storm_seconds}s", *arguments_for(server)],
                                            url_of(server, contender), server.pid, everywhere.client)
            finally:
                if repeater:
                    repeater.stop()
            finding.hear(result)
            add_row(rows, shown, label, client, result, repeater.times if repeater else len(result["signals_at_seconds"]))
            finding.raw[f"{label}, {client}"] = without_histories(result)
    finding.table(COLUMNS, rows, f"{bench.plan.storm_seconds} s each, 64 connections; no request is ever sent twice. A "
                                 "close that the server announced, or that a thinking client saw before it sent, is no "
                                 "failure.")
    show(finding, shown)


def show(finding, shown):
    """A plot for each kind of client: `shown`: client -> [(label, result)]."""
    for number, (client, results) in enumerate(shown.items()):
        finding.plot(str(number), "storm", title=f"{finding.title}: {client} clients" if client else finding.title,
                     rows=[(label, {key: result[key] for key in DRAWN}) for label, result in results])


def two_workers(bench, *which):
    """(label, contender, settings) of those that are installed, with two workers; "nginx reuseport" is
    nginx with a listening socket for each worker."""
    found = []
    for one in which:
        reuseport = isinstance(one, str) and one.endswith(" reuseport")
        for contender in bench.contenders(one.removesuffix(" reuseport") if reuseport else one):
            settings = {**dict(contender.settings), "WORKERS": 2, "RELOADABLE": True}
            if reuseport:
                settings["REUSEPORT"] = "reuseport"
            found.append((one if reuseport else contender.label, contender, settings))
    return found


def preforkd_only(bench, finding):
    found = two_workers(bench, "preforkd")
    if not found:
        finding.note("preforkd is not built, so there is nothing to show.")
    return found


@case("reload", "A reload every half second", quick=True)
def reload(bench, finding):
    """HUP (USR2 for HAProxy, USR1 for Apache) every 0.5 s under four kinds of clients. Every request
    ends answered or in one class of failure."""
    labels = ("preforkd", "nginx", "haproxy") if bench.plan.quick else ("preforkd", "nginx", "nginx reuseport", "haproxy",
                                                                         "apache2")
    storm(bench, finding, two_workers(bench, *labels),
          lambda server: ["--storm", f"{server.pid}:{server.kind.reload_signal}:500ms"],
          CLIENTS[:3] if bench.plan.quick else CLIENTS)


@case("reload-wrk", "A reload every half second, seen by wrk")
def reload_wrk(bench, finding):
    """The same storm under wrk, which counts in its own way: a close that it did not expect is a read
    error, although it opens a new connection then and asks again."""
    if shutil.which("wrk") is None:
        return finding.note("wrk is not installed, so there is nothing to show.")
    everywhere = machine.all_cores()
    rows = []
    for client, arguments in (("keep-alive", []), ("one-shot", ["-H", "Connection: close"])):
        for label, contender, settings in two_workers(bench, "preforkd", "nginx", "nginx reuseport", "haproxy"):
            server = bench.fleet.server(contender.server, everywhere.server, **settings)
            bench.check(contender, server)
            bench.progress(f"{label}, {client}")
            number = getattr(signal, f"SIG{server.kind.reload_signal}")
            repeater = Repeater(lambda _, server=server, number=number: os.kill(server.pid, number), 0.5)
            repeater.start()
            try:
                result = bench.clients.wrk(["-t1", "-c64", f"-d{bench.plan.storm_seconds}s", *arguments],
                                           url_of(server, contender), server.pid, cores=everywhere.client)
            finally:
                repeater.stop()
            finding.hear(result)
            finding.raw[f"{label}, {client}"] = result
            rows.append([label, client, repeater.times, f"{result['answered']:,}", f"{sum(result['errors'].values()):,}",
                         ", ".join(f"{kind} {count:,}" for kind, count in result["errors"].items() if count) or "none"])
    finding.table(["server", "clients", "reloads", "answered", "errors", "by wrk's class"], rows)


@case("upgrade", "A new binary every two seconds")
def upgrade(bench, finding):
    """Two builds of preforkd that differ in their version take turns at the path that the server was
    started from, with a USR2 every 2 s: it executes them in place, with the same pid."""
    programs = [bench.fleet.programs.path(name) for name in ("preforkd", "preforkd_next")]
    place = os.path.join(bench.workspace.room_for("upgrade"), "preforkd")
    started = {}

    def install(number):
        shutil.copy2(programs[number % 2], place + ".new")
        os.rename(place + ".new", place)

    def act(server, number):
        started.setdefault(server, server.pid)
        install(number + 1)
        os.kill(server.pid, signal.SIGUSR2)

    install(0)
    found = [(label, contender, {**settings, "PROGRAM": place})
             for label, contender, settings in preforkd_only(bench, finding)]
    storm(bench, finding, found, lambda server: [], action=act, every=2)
    for server, pid in started.items():
        finding.table(["verdict", "times"], verdicts(server),
                      f"From the log; the pid {'stayed' if server.process.poll() is None and server.pid == pid else 'changed'}.")


def verdicts(server):
    """How each upgrade ended, and how often."""
    counted = {}
    with open(os.path.join(server.folder, "error.log"), encoding="utf-8", errors="replace") as log:
        for line in log:
            found = re.search(r"(upgrade ok from=\S+ to=\S+|upgrade refused.*|upgraded, but.*)", line)
            if found:
                verdict = found[1].replace("=", " ")
                counted[verdict] = counted.get(verdict, 0) + 1
    return sorted([verdict, times] for verdict, times in counted.items())


@case("resize", "Between two and eight workers")
def resize(bench, finding):
    """TTIN six times, then TTOU six times, one every 0.2 s."""
    signals = ",".join(["TTIN"] * 6 + ["TTOU"] * 6)
    storm(bench, finding, preforkd_only(bench, finding), lambda server: ["--storm", f"{server.pid}:{signals}:200ms"])


@case("listeners", "A listener added and removed at each reload")
def listeners(bench, finding):
    """A HUP every 0.5 s; each adds or removes another listener, while clients use the one that stays."""
    extra = f"\n[listen.extra]\naddress = 127.0.0.1:{free_port()}\nservice = echo\n"

    def act(server, number):
        with open(server.configuration, "r+", encoding="utf-8") as file:
            text = file.read().removesuffix(extra)
            file.seek(0)
            file.truncate()
            file.write(text + (extra if number % 2 == 0 else ""))
        os.kill(server.pid, signal.SIGHUP)

    storm(bench, finding, preforkd_only(bench, finding), lambda server: [], action=act)


@case("recycle", "Workers recycled every hundred requests")
def recycle(bench, finding):
    """max_requests = 100: a worker makes room for a successor all the time."""
    found = [(label, contender, {**settings, "EXTRA": "max_requests = 100"})
             for label, contender, settings in preforkd_only(bench, finding)]
    storm(bench, finding, found, lambda server: [])


