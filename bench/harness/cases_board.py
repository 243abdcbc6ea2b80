"""The bulletin board against Redis: the nearest thing that people know."""
import os
import re
import shutil
import socket
import statistics
import subprocess
import time

from . import machine, measure, processes
from .cases import case, cost_table
from .measure import Contender
from .results import number, span
from .servers import ServerError

MESSAGE = "x" * 100


def say(port, lines, answers):
    """Sends bytes in pieces and reads until so many lines have come back."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.settimeout(60)
        seen = 0
        for piece in lines:
            client.sendall(piece)
        while seen < answers:
            part = client.recv(1 << 16)
            if not part:
                raise ServerError(f"port {port} closed after {seen} of {answers} replies")
            seen += part.count(b"\n")


def fill_redis(port, count):
    value = MESSAGE.encode()
    for first in range(1, count + 1, 10000):
        batch = b"".join(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$100\r\n%s\r\n" % (n, value)
                         for n in range(first, min(first + 10000, count + 1)))
        say(port, [batch], min(10000, count + 1 - first))


def fill_board(bench, count):
    """A board's file with `count` messages, by preforkctl's text form."""
    room = bench.workspace.room_for("board")
    board = os.path.join(room, "bbfile")
    if os.path.exists(board):
        return board
    control = bench.fleet.programs.path("preforkd").replace("preforkd", "preforkctl")
    importing = subprocess.Popen([control, "board", "import", board], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE)
    for first in range(0, count + 1, 10000):  # the client counts from 1
        importing.stdin.write(b"".join(b"%d/nobody/%s\n" % (n, MESSAGE.encode())
                                       for n in range(first, min(first + 10000, count + 1))))
    _, errors = importing.communicate()
    if importing.returncode != 0:
        raise ServerError(f"preforkctl board import: {errors.decode().strip()}")
    if os.geteuid() == 0:  # they must belong to the workers' user
        for path in (board, board + "-lock"):
            shutil.chown(path, "nobody", "nogroup")
    return board


def board_section(board, workers, port):
    return (f"\n[listen.board]\naddress = 127.0.0.1:{port}\nservice = board\nfile = {board}\n"
            f"workers = {workers}\n")


def start_board(bench, board, workers, cores):
    """preforkd with a board; its port stands in server.ports["PORT_BOARD"]."""
    from .servers import free_port
    port = free_port()
    server = bench.fleet.server("preforkd", cores, EXTRA_HTTP=board_section(board, workers, port))
    server.ports["PORT_BOARD"] = port
    return server


@case("board-read", "Reading the board")
def board_read(bench, finding):
    """READ of random 100-byte messages out of a million, against redis-server's GET, one core each,
    one at a time and 16 at once."""
    count = 100_000 if bench.plan.quick else 1_000_000
    contenders = []
    if bench.contenders("preforkd"):
        board = fill_board(bench, count)
        contenders.append((Contender("preforkd", "preforkd", "PORT_BOARD"), "board", start_board(
            bench, board, 1, bench.fleet.cores.server)))
    if bench.fleet.has("redis"):
        redis = bench.fleet.server("redis")
        fill_redis(redis.ports["PORT"], count)
        contenders.append((Contender("redis", "redis"), "redis", redis))
    for depth in (1, 16):
        samples = measure.Samples(bench.plan.rounds)
        for number_of_round in range(bench.plan.rounds):
            for contender, scheme, server in contenders:
                bench.progress(f"depth {depth}, round {number_of_round + 1}: {contender.label}")
                samples.add(contender.label, measure.take(bench, server, contender, ["-c", 64, "-p", depth, "--numbers",
                                                                                     count], "", bench.plan.seconds, scheme))
        if samples.labels():
            cost_table(finding, samples, "message", "redis", f"depth-{depth}")
            finding.parts[-2].caption = f"{depth} at a time. " + finding.parts[-2].caption


@case("board-write", "Durable writing")
def board_write(bench, finding):
    """WRITE by 64 connections, each acknowledged only when it is on disk, with one and two workers;
    against Redis with appendfsync always, and against one fdatasync after another."""
    alone = "one fdatasync after another"
    room = bench.workspace.room_for("sync")
    everywhere = machine.all_cores()
    tries = []
    if bench.contenders("preforkd"):
        for workers in (1, 2):
            board = os.path.join(bench.workspace.room_for("board-write"), f"bbfile-{workers}")
            tries.append((f"preforkd, {workers} workers", "board", "PORT_BOARD", f"WRITE {MESSAGE}",
                          start_board(bench, board, workers, everywhere.server)))
    if bench.fleet.has("redis"):
        tries.append(("redis, appendfsync always", "redis", "PORT", f"SET key:{{n}} {MESSAGE}",
                      bench.fleet.server("redis", everywhere.server, APPENDONLY="yes")))
    samples = measure.Samples(bench.plan.rounds)
    for number_of_round in range(bench.plan.rounds):
        # In each round, for a disk is fast in one minute and slow in the next.
        samples.add(alone, {"per_second": syncs_per_second(room, bench.plan.seconds)})
        for label, scheme, port, command, server in tries:
            bench.progress(f"round {number_of_round + 1}: {label}")
            samples.add(label, bench.clients.load(
                ["-c", 64, "--command", command, "--numbers", 1000000, "-w", "200ms", "-d", f"{bench.plan.seconds}s"],
                f"{scheme}://127.0.0.1:{server.ports[port]}", server.pid))
    rows = []
    for label in samples.labels():
        latency = [statistics.median(one["latency"][key] for one in samples.by_label[label]) / 1000
                   for key in ("p50", "p99")] if label != alone else []
        ratios = [a / b for a, b in zip(samples.values(label, "per_second"), samples.values(alone, "per_second"))]
        rows.append([label, number(samples.median(label, "per_second"), 0), span(*samples.spread(label, "per_second"), 0),
                     number(statistics.median(ratios)), span(min(ratios), max(ratios)),
                     *([f"{value:.1f}" for value in latency] or ["–", "–"])])
        finding.raw[label] = samples.by_label[label]
    finding.table(["what", "writes/s", "min–max", "× one by one", "min–max", "p50 ms", "p99 ms"], rows,
                  f"{samples.rounds} rounds. How many times as often as one by one is the median of that inside one round.")


@case("board-size", "Opening boards, and memory", full=False)
def board_size(bench, finding):
    """A worker's time from its fork to READY, and its private memory before and after it has read random
    messages for a second, with boards of a thousand to ten million messages of 100 bytes."""
    rows = []
    for count in (1000, 100_000) if bench.plan.quick else (1000, 1_000_000, 10_000_000):
        bench.progress(f"{count:,} messages")
        board = fill_board(bench, count)
        server = start_board(bench, board, 1, bench.fleet.cores.server)
        port = server.ports["PORT_BOARD"]
        say(port, [b"COUNT\n"], 2)  # once it answers, its READY is in the log
        with open(os.path.join(server.folder, "error.log"), encoding="utf-8") as log:
            ready = re.search(r"worker ready slot=board/0 worker=(\d+) .*after=(\d+)ms", log.read())
        worker = int(ready[1])
        before = processes.private_bytes(worker)
        bench.clients.load(["-c", 64, "--numbers", count, "-d", "1s"],
                           f"board://127.0.0.1:{port}", server.pid)
        after = processes.private_bytes(worker)
        rows.append([f"{count:,}", number(os.path.getsize(board) / 2 ** 20, 0), ready[2], number(before / 1024, 0),
                     number(after / 1024, 0)])
        bench.fleet.forget(server)
        os.unlink(board)
        os.unlink(board + "-lock")
    finding.table(["messages", "file, MiB", "fork to READY, ms", "KiB at READY", "KiB after reading"], rows)


def syncs_per_second(folder, seconds):
    """How often this disk syncs an appended 100 bytes in a second, tried for so many."""
    path = os.path.join(folder, "log")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        count, end = 0, time.monotonic() + seconds
        began = time.monotonic()
        while time.monotonic() < end:
            os.write(descriptor, MESSAGE.encode())
            os.fdatasync(descriptor)
            count += 1
        return count / (time.monotonic() - began)
    finally:
        os.close(descriptor)
