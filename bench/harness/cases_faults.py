"""What clients suffer when workers die or stop, and whether they are told the truth after a reload."""
import os
import random
import re
import signal
import statistics
import threading
import time
from datetime import datetime

from . import machine, processes
from .cases import case, without_histories
from .cases_storm import CLIENTS, COLUMNS, add_row, failures_in, preforkd_only, show, storm, two_workers
from .client import Noise
from .measure import url_of
from .notify import Notify
from .results import micro, number


@case("generations", "No stale answer after the verdict")
def generations(bench, finding):
    """Each reload raises a number that every answer carries in a header. Once the server has published
    that a generation serves, an answer of an older one on a newer connection has failed."""
    rows, shown = [], {}
    for label, contender, settings in preforkd_only(bench, finding):
        for client, arguments in CLIENTS:
            bench.progress(client)
            with Notify(bench.workspace) as notify:
                result, reloads = count_up(bench, contender, {
                    **settings, "EXTRA_HTTP": "add_header = X-Generation: 1", "ENVIRONMENT": notify.environment()},
                    notify, arguments)
            finding.hear(result)
            finding.raw[client] = without_histories(result)
            add_row(rows, shown, label, client, result, reloads)
    finding.table(COLUMNS, rows)


def count_up(bench, contender, settings, notify, arguments):
    """One load, during which the generation goes up every half second, each announced to it."""
    everywhere = machine.all_cores()
    server = bench.fleet.server(contender.server, everywhere.server, **settings)
    bench.check(contender, server)
    noise = Noise(server.pid)
    process = bench.clients.begin([*arguments, "-d", f"{bench.plan.storm_seconds}s", "--generation-header", "X-Generation"],
                                  url_of(server, contender), None, everywhere.client, stdin=-1)
    generation, over = 1, time.monotonic() + bench.plan.storm_seconds - 0.5
    while time.monotonic() < over:
        time.sleep(0.5)
        generation += 1
        server.rewrite(**{"X-Generation: 1": f"X-Generation: {generation}"})
        notify.forget()
        os.kill(server.pid, signal.SIGHUP)
        notify.wait_for("READY=1")
        try:
            process.stdin.write(f"{generation}\n")
            process.stdin.flush()
        except BrokenPipeError:
            break  # the load was over before the reload was
    result = {**bench.clients.end(process, 60), **noise.since()}
    bench.fleet.forget(server)
    return result, generation - 1


@case("crash", "A worker killed every 0.4 s")
def crash(bench, finding):
    """kill -9 of a random worker of four. Only requests in flight on that worker may fail, and the pool
    is to be whole again soon: from each kill to the master's \"worker ready\" in its log."""
    choose = random.Random(1)
    kills = []  # (time, pid) of each

    def act(server, _):
        victims = processes.children(server.pid)
        if victims:
            victim = choose.choice(victims)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                return
            if server.kind.name == "preforkd":
                kills.append((server, time.time()))

    found = [(label, contender, {**settings, "WORKERS": 4}) for label, contender, settings in
             two_workers(bench, "preforkd", "nginx")]
    storm(bench, finding, found, lambda server: [], action=act, every=0.4, clients=CLIENTS[:3])
    whole = [time_until_whole(server, at) * 1e3 for server, at in kills]
    if whole and all(took >= 0 for took in whole):
        finding.raw["milliseconds until whole"] = whole
        finding.table(["preforkd", "kills", "median ms", "min", "max"],
                      [["from the kill until a new worker is ready", len(whole), number(statistics.median(whole), 1),
                        number(min(whole), 1), number(max(whole), 1)]])


def time_until_whole(server, since):
    """Seconds from `since` (Unix time) to the next "worker ready" in the server's log; -1 when there is none."""
    with open(os.path.join(server.folder, "error.log"), encoding="utf-8", errors="replace") as log:
        for line in log:
            if 'worker ready' in line and (at := when(line)) >= since:
                return at - since
    return -1


def when(line):
    """The Unix time that a line of preforkd's log begins with."""
    stamp = re.match(r"\S+", line)[0]
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


@case("hang", "A worker that stops")
def hang(bench, finding):
    """SIGSTOP of one of four workers, 3 s into a run of new connections at a fixed rate: who waits?"""
    everywhere = machine.all_cores()
    rows, shown, seconds = [], [], max(16, bench.plan.storm_seconds)
    for label, contender, settings in two_workers(bench, "preforkd", "nginx", "nginx reuseport"):
        server = bench.fleet.server(contender.server, everywhere.server, **{**settings, "WORKERS": 4})
        bench.check(contender, server)
        bench.progress(label)
        stopped = []
        thread = threading.Thread(target=stop_one, args=(server, stopped))
        thread.start()
        result = bench.clients.load(["-c", 200, "-1", "-R", 1000, "-d", f"{seconds}s", "--timeout", "2s"],
                                    url_of(server, contender), server.pid, everywhere.client)
        thread.join()
        gone = stopped[0] not in processes.children(server.pid)
        if not gone:
            os.kill(stopped[0], signal.SIGCONT)
        finding.hear(result)
        late = [one for i, one in enumerate(result["slices"]) if i * result["slice_seconds"] > 5.5]
        rows.append([label, f"{result['answered']:,}", f"{result['failed']:,}",
                     ", ".join(f"{k} {v:,}" for k, v in failures_in(result).items()) or "none",
                     micro(result["latency"]["p99"]), micro(max((one["slowest"] for one in late), default=0)),
                     f"{sum(failures_of(one) for one in late):,}", "yes" if gone else "no"])
        result["signals_at_seconds"] = [3.0]
        shown.append((label, result))
        finding.raw[label] = without_histories(result)
    finding.table(["server", "answered", "failed", "by class", "p99", "slowest after 2.5 s", "failed after 2.5 s",
                   "worker replaced"], rows)
    if shown:
        show(finding, {"": shown})


def stop_one(server, stopped):
    time.sleep(3)
    stopped.append(processes.children(server.pid)[0])
    os.kill(stopped[0], signal.SIGSTOP)


def failures_of(one_slice):
    return sum(count for kind, count in one_slice.items() if kind not in ("answered", "slowest"))
