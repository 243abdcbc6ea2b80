"""How long the daemon itself takes: to start, and to put a new generation into service."""
import os
import signal
import statistics
import time

from . import machine
from .cases import case
from .notify import Notify
from .results import number


def milliseconds(values):
    return [number(statistics.median(values), 1), number(min(values), 1), number(max(values), 1)]


@case("times", "Start and reload")
def times(bench, finding):
    """From exec to READY=1, and from HUP to the READY=1 that follows when every new worker serves, by
    the messages of sd_notify; two workers, 20 times each."""
    if not bench.contenders("preforkd"):
        return finding.note("preforkd is not built, so there is nothing to show.")
    rounds = 5 if bench.plan.quick else 20
    started, reloaded = [], []
    with Notify(bench.workspace) as notify:
        settings = {"WORKERS": 2, "ENVIRONMENT": notify.environment(),
                    "WAIT": lambda patience: notify.wait_for("READY=1", patience)}
        server = None
        for _ in range(rounds):
            if server:
                bench.fleet.forget(server)
            notify.forget()
            began = time.monotonic()
            server = bench.fleet.server("preforkd", machine.all_cores().server, **settings)
            started.append((server.ready_at - began) * 1e3)
        for _ in range(rounds):
            notify.forget()
            began = time.monotonic()
            os.kill(server.pid, signal.SIGHUP)
            reloaded.append((notify.wait_for("READY=1") - began) * 1e3)
        bench.fleet.forget(server)
    finding.raw.update(started=started, reloaded=reloaded)
    finding.table(["what", "median ms", "min", "max"], [["start to READY", *milliseconds(started)],
                                                       ["HUP to READY", *milliseconds(reloaded)]], f"{rounds} times each.")
