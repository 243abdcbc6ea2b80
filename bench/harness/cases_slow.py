"""Slow and greedy clients beside a polite one."""
import statistics
import time

from . import machine, processes
from .attackers import KINDS, Attackers
from .cases import case, without_histories
from .measure import url_of
from .results import micro, number

LIMITS = {"preforkd": "".join(f"{name} = 2s\n" for name in ("header_timeout", "body_timeout", "send_timeout", "idle_timeout")),
          "nginx": "client_header_timeout 2s; client_body_timeout 2s; send_timeout 2s;\n"
                   "    reset_timedout_connection on;"}
STATES_THAT_HOLD = {"01", "03", "04", "05", "08", "09", "0B"}  # all but LISTEN, TIME_WAIT and CLOSE


@case("slow-clients", "Slow and greedy clients beside a polite one")
def slow_clients(bench, finding):
    """400 clients of one bad kind after the other, and a polite one that asks 500 times a second; all
    deadlines are 2 s. When are the bad ones cut, what does the polite one notice, how much memory do
    they cost, and how many of their sockets does the kernel still hold for the server at the end?"""
    rows, seconds, count = [], 3 if bench.plan.quick else 6, 100 if bench.plan.quick else 400
    for contender in bench.contenders("preforkd", "nginx"):
        server = bench.fleet.server(contender.server, machine.all_cores().server, WORKERS=1,
                                    EXTRA_HTTP=LIMITS[contender.server])
        bench.check(contender, server)
        alone = polite(bench, server, contender, 2)
        finding.hear(alone)
        finding.raw[f"{contender.label}, alone"] = without_histories(alone)
        rows.append([contender.label, "nobody", "–", "–", *polite_cells(alone), "–", "–"])
        for kind in KINDS:
            bench.progress(f"{contender.label}: {kind.name}")
            rows.append([contender.label, kind.name, *attack(bench, finding, server, contender, kind, count, seconds)])
    finding.table(["server", "beside", "cut", "after s", "polite p50", "p99", "slowest", "failed", "MiB more", "left in kernel"],
                  rows, f"{count} of each kind, {seconds} s; the polite one: 4 connections, open loop.")


def polite(bench, server, contender, seconds):
    return bench.clients.load(["-c", 4, "-R", 500, "-d", f"{seconds}s"], url_of(server, contender), server.pid,
                              machine.all_cores().client)


def polite_cells(result):
    return [micro(result["latency"]["p50"]), micro(result["latency"]["p99"]), micro(result["latency"]["max"]),
            f"{result['failed']:,}"]


def attack(bench, finding, server, contender, kind, count, seconds):
    port, before = server.ports[contender.port], processes.private_bytes(server.pid)
    attackers = Attackers(port, kind, count)
    attackers.start()
    result = polite(bench, server, contender, seconds)
    memory = processes.private_bytes(server.pid) - before
    attackers.stop()
    left = held_by_server(port)
    attackers.close()
    finding.raw[f"{contender.label}, {kind.name}"] = {
        **without_histories(result), "cut_after": attackers.cut_after, "refused": attackers.refused,
        "private_bytes_more": memory, "left": left}
    time.sleep(0.3)  # so that the next kind finds a server that has noticed
    cut = attackers.cut_after
    return [f"{len(cut)} of {attackers.made}", f"{statistics.median(cut):.1f}" if cut else "–", *polite_cells(result),
            number(memory / 2**20, 1), left]


def held_by_server(port):
    """Connections of a server's port that the kernel still holds for it. Source: proc(5), /proc/net/tcp."""
    suffix, held = f":{port:04X}", 0
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            held += fields[1].endswith(suffix) and fields[3] in STATES_THAT_HOLD
    return held
