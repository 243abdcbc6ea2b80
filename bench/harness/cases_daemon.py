"""How long the daemon itself takes: to start, and to put a new generation into service; and whether
it sleeps when there is nothing to do."""
import os
import signal
import statistics
import subprocess
import time

from . import machine, processes
from .cases import case
from .client import Noise
from .notify import Notify
from .results import number


def milliseconds(values):
    return [number(statistics.median(values), 1), number(min(values), 1), number(max(values), 1)]


@case("times", "Start and reload", quick=True)
def times(bench, finding):
    """From exec to READY=1, from the daemon's exec to its caller's prompt, and from HUP and USR2 to the
    READY=1 that says that every new worker serves; two workers, 20 times each (5 in --quick)."""
    if not bench.contenders("preforkd"):
        return finding.note("preforkd is not built, so there is nothing to show.")
    rounds = 5 if bench.plan.quick else 20
    noise = Noise(os.getpid())
    with Notify(bench.workspace) as notify:
        settings = {"WORKERS": 2, "ENVIRONMENT": notify.environment(),
                    "WAIT": lambda patience: notify.wait_for("READY=1", patience)}
        started = [start_once(bench, notify, settings) for _ in range(rounds)]
        server = bench.fleet.server("preforkd", machine.all_cores().server, **settings)
        reloaded = [reload_once(server, notify, signal.SIGHUP) for _ in range(rounds)]
        upgraded = [reload_once(server, notify, signal.SIGUSR2) for _ in range(rounds)]
        bench.fleet.forget(server)
    launched = [launch_once(server) for _ in range(rounds)]
    finding.hear(noise.since())
    finding.raw.update(started=started, launched=launched, reloaded=reloaded, upgraded=upgraded)
    finding.table(["what", "median ms", "min", "max"],
                  [["start to READY", *milliseconds(started)], ["daemon's start to its caller's prompt",
                                                                *milliseconds(launched)],
                   ["HUP to READY", *milliseconds(reloaded)],
                   ["USR2 to READY", *milliseconds(upgraded)]], f"{rounds} times each.")


def start_once(bench, notify, settings):
    notify.forget()
    began = time.monotonic()
    server = bench.fleet.server("preforkd", machine.all_cores().server, **settings)
    took = server.ready_at - began
    bench.fleet.forget(server)
    return took * 1e3


def reload_once(server, notify, number):
    notify.forget()
    began = time.monotonic()
    os.kill(server.pid, number)
    return (notify.wait_for("READY=1") - began) * 1e3


def launch_once(server):
    """The same configuration as a daemon; it is stopped again."""
    began = time.monotonic()
    subprocess.run([server.command[0], "-c", server.configuration], check=True, timeout=30)
    took = time.monotonic() - began
    with open(os.path.join(server.folder, "preforkd.pid"), encoding="ascii") as file:
        descriptor = os.pidfd_open(int(file.read()))
    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    processes.wait_for_end(descriptor)
    os.close(descriptor)
    return took * 1e3


@case("wakeups", "Whether an idle server sleeps")
def wakeups(bench, finding):
    """Context switches of all processes of each server with two workers, in 20 s without a client."""
    seconds = 5 if bench.plan.quick else 20
    servers = {}
    for contender in bench.contenders("preforkd", "nginx", "h2o", "lighttpd", "haproxy", "apache2"):
        servers[contender.label] = bench.fleet.server(contender.server, machine.all_cores().server, WORKERS=2)
        bench.check(contender, servers[contender.label])
    bench.progress("waiting")
    time.sleep(3)  # for what start and check have left to do
    before = {label: switches(server.pid) for label, server in servers.items()}
    time.sleep(seconds)
    rows = []
    for label, server in servers.items():
        woken = [count - before[label].get(pid, 0) for pid, count in switches(server.pid).items()]
        finding.raw[label] = woken
        rows.append([label, len(woken), sum(woken), ", ".join(map(str, woken))])
    finding.table(["server", "processes", f"wake-ups in {seconds} s", "of each"], rows)


def switches(pid):
    """Context switches of each process of a server, all its threads together."""
    return {one: sum(int(line.split()[1]) for task in os.listdir(f"/proc/{one}/task")
                     for line in open(f"/proc/{one}/task/{task}/status", encoding="ascii", errors="replace")
                     if "ctxt_switches" in line) for one in processes.tree(pid)}
