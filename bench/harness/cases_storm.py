"""Storms: what clients lose while an administrator does something to the server again and again."""
import os
import random
import signal
import threading
import time

from . import machine, processes, svg
from .cases import CONTENDERS, case
from .results import micro
from .servers import KINDS

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


COLUMNS = ["server", "clients", "times", "answered", "failed", "by class", "connections", "announced closes",
           "closes seen idle", "slowest"]


def storm(bench, finding, contenders, arguments_for, clients=CLIENTS, action=None, every=0.5, prepare=None):
    """Each contender under each kind of client. Either load sends signals itself (`arguments_for`
    gives its --storm), or `action(server, number)` is done every `every` seconds."""
    everywhere = machine.all_cores()
    rows, shown = [], {}
    for client, arguments in clients:
        for label, contender, settings in contenders:
            server = bench.fleet.server(contender.server, everywhere.server, **settings)
            bench.check(contender, server)
            if prepare:
                prepare(server)
            bench.progress(f"{label}, {client}")
            url = f"http://127.0.0.1:{server.ports[contender.port]}/1k.html"
            repeater = Repeater(lambda number, server=server: action(server, number), every) if action else None
            if repeater:
                repeater.start()
            try:
                result = bench.clients.load([*arguments, "-d", f"{bench.plan.storm_seconds}s",
                                             *arguments_for(server)], url, None, everywhere.client)
            finally:
                if repeater:
                    repeater.stop()
            add_row(rows, shown, label, client, result, repeater.times if repeater else len(result["signals_at_seconds"]))
            finding.raw[f"{label}, {client}"] = result
    finding.table(COLUMNS, rows, f"{bench.plan.storm_seconds} s each, 64 connections, two workers; no request is ever "
                                 "sent twice. A close that the server announced, or that a thinking client saw before "
                                 "it sent, is no failure.")
    for number, (client, results) in enumerate(shown.items()):
        finding.plot(str(number), svg.storm(f"{finding.title}: {client} clients", results))


def two_workers(bench, *labels):
    """(label, contender, settings) of those that are installed, with two workers."""
    found = []
    for label in labels:
        base = label.removesuffix(" reuseport")
        for contender in bench.contenders(base):
            settings = {**dict(contender.settings), "WORKERS": 2, "RELOADABLE": True}
            if label != base:
                settings["REUSEPORT"] = "reuseport"
            found.append((label, contender, settings))
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
    storm(bench, finding, two_workers(bench, *labels), lambda server: ["--storm", f"{server.pid}:{server.kind.reload_signal}:500ms"],
          CLIENTS[:3] if bench.plan.quick else CLIENTS)


@case("upgrade", "A new binary every two seconds")
def upgrade(bench, finding):
    """USR2 every 2 s: preforkd executes its binary in place, with the same pid."""
    storm(bench, finding, preforkd_only(bench, finding), lambda server: ["--storm", f"{server.pid}:USR2:2s"])


@case("resize", "Between two and eight workers")
def resize(bench, finding):
    """TTIN six times, then TTOU six times, one every 0.2 s."""
    signals = ",".join(["TTIN"] * 6 + ["TTOU"] * 6)
    storm(bench, finding, preforkd_only(bench, finding), lambda server: ["--storm", f"{server.pid}:{signals}:200ms"])


@case("listeners", "A listener added and removed at each reload")
def listeners(bench, finding):
    """A HUP every 0.5 s; each adds or removes another listener, while clients use the one that stays."""
    from .servers import free_port
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


@case("generations", "No stale answer after the verdict")
def generations(bench, finding):
    """Each reload raises a number that every answer carries in a header. Once the server has published
    that a generation serves, an answer of an older one on a newer connection has failed."""
    from .notify import Notify
    found = preforkd_only(bench, finding)
    if not found:
        return
    everywhere = machine.all_cores()
    rows, shown = [], {}
    for client, arguments in CLIENTS:
        with Notify(bench.workspace) as notify:
            settings = {**found[0][2], "EXTRA_HTTP": "add_header = X-Generation: 1", "ENVIRONMENT": notify.environment()}
            server = bench.fleet.server("preforkd", everywhere.server, **settings)
            bench.progress(client)
            process = bench.clients.begin([*arguments, "-d", f"{bench.plan.storm_seconds}s", "--generation-header",
                                           "X-Generation"], f"http://127.0.0.1:{server.ports['PORT']}/1k.html", None,
                                          everywhere.client, stdin=-1)
            number, end = 1, time.monotonic() + bench.plan.storm_seconds - 1
            while time.monotonic() < end:
                time.sleep(0.5)
                number += 1
                server.rewrite(**{"X-Generation: 1": f"X-Generation: {number}"})
                notify.forget()
                os.kill(server.pid, signal.SIGHUP)
                notify.wait_for("READY=1")
                process.stdin.write(f"{number}\n")
                process.stdin.flush()
            result = bench.clients.end(process, 60)
            add_row(rows, shown, "preforkd", client, result, number - 1)
            bench.fleet.forget(server)
    finding.table(COLUMNS, rows)


@case("crash", "A worker killed every 0.4 s")
def crash(bench, finding):
    """kill -9 of a random worker of four. Only requests in flight on that worker may fail."""
    choose = random.Random(1)

    def act(server, number):
        victims = processes.children(server.pid)
        if victims:
            try:
                os.kill(choose.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                pass

    found = [(label, contender, {**settings, "WORKERS": 4}) for label, contender, settings in
             two_workers(bench, "preforkd", "nginx")]
    storm(bench, finding, found, lambda server: [], action=act, every=0.4, clients=CLIENTS[:3])


@case("hang", "A worker that stops")
def hang(bench, finding):
    """SIGSTOP of one of four workers, 3 s into a run of new connections at a fixed rate: who waits?"""
    everywhere = machine.all_cores()
    rows, shown, seconds = [], [], max(16, bench.plan.storm_seconds)
    for label, contender, settings in two_workers(bench, "preforkd", "nginx", "nginx reuseport"):
        server = bench.fleet.server(contender.server, everywhere.server, **{**settings, "WORKERS": 4})
        bench.check(contender, server)
        bench.progress(label)
        url = f"http://127.0.0.1:{server.ports[contender.port]}/1k.html"
        stopped = []

        def freeze(server=server, stopped=stopped):
            time.sleep(3)
            stopped.append(processes.children(server.pid)[0])
            os.kill(stopped[0], signal.SIGSTOP)

        thread = threading.Thread(target=freeze)
        thread.start()
        result = bench.clients.load(["-c", 200, "-1", "-R", 1000, "-d", f"{seconds}s", "--timeout", "2s"], url, None,
                                    everywhere.client)
        thread.join()
        gone = stopped[0] not in processes.children(server.pid)
        if not gone:
            os.kill(stopped[0], signal.SIGCONT)
        late = [one for i, one in enumerate(result["slices"]) if i * result["slice_seconds"] > 5.5]
        worst = max((one["slowest"] for one in late), default=0)
        rows.append([label, f"{result['answered']:,}", f"{result['failed']:,}",
                     ", ".join(f"{k} {v:,}" for k, v in failures_in(result).items()) or "none",
                     micro(result["latency"]["p99"]), micro(worst), "yes" if gone else "no"])
        result["signals_at_seconds"] = [3.0]
        shown.append((label, result))
        finding.raw[label] = result
    finding.table(["server", "answered", "failed", "by class", "p99", "slowest after 2.5 s", "worker replaced"], rows)
    if shown:
        finding.plot("", svg.storm(finding.title, shown))
