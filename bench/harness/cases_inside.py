"""What happens inside a server: system calls, instructions, memory."""
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from . import machine, processes
from .cases import case
from .client import ClientError
from .measure import Contender, url_of
from .results import number, span
from .servers import ServerError

SHAPES = (("keep-alive", ["-c", 64]), ("keep-alive, busy server", ["-c", 256, "-t", 2]),
          ("a connection each", ["-c", 64, "-1"]), ("a connection each, busy server", ["-c", 256, "-1", "-t", 2]),
          ("a connection each, by strace", ["-c", 64, "-1"]), ("pipelined × 16", ["-c", 64, "-p", 16]))


@case("syscalls", "System calls a request", quick=True)
def syscalls(bench, finding):
    """Counted by the kernel's tracepoints while the server runs at full speed (perf), or by strace,
    which slows it so much that it batches differently. A server that is faster than its client is woken
    for each request or connection alone; the busy one shares its core with a client that also has the
    other, so that some wait for it; under strace many do, as they do where its speed matters."""
    by_perf = can_trace()
    if not by_perf and shutil.which("strace") is None:
        return finding.note("Neither perf's tracepoints nor strace can be used here.")
    rounds = 1 if bench.plan.quick else max(3, bench.plan.rounds // 2)
    rows = []
    for shape, arguments in SHAPES:
        if "strace" in shape and (not by_perf or shutil.which("strace") is None):
            continue  # they are all counted so, or none can be
        count = by_tracepoints if by_perf and "strace" not in shape else by_strace
        counted = {}
        for number_of_round in range(rounds):
            for contender in bench.contenders(*counted_servers(shape, arguments, bench.plan.quick)):
                bench.progress(f"{shape}: round {number_of_round + 1} of {rounds}: {contender.label}")
                server = bench.start(contender)
                calls, answered = count(bench, server, url_of(server, contender), arguments)
                if answered:
                    counted.setdefault(contender.label, []).append(
                        {name: total / answered for name, total in calls.items()})
        finding.raw[shape] = counted
        for label, samples in counted.items():
            sums = [sum(calls.values()) for calls in samples]
            each = {name: statistics.median(calls.get(name, 0) for calls in samples) for name in samples[0]}
            rows.append([shape, label, number(statistics.median(sums)), span(min(sums), max(sums)),
                         ", ".join(f"{name} {value:.2f}" for name, value in sorted(each.items(), key=lambda x: -x[1])
                                   if value >= 0.005)])
    finding.table(["shape", "server", "calls/request", "min–max", "which"], rows,
                  ("By perf stat, tracepoints syscalls:sys_enter_*" if by_perf else "By strace -c -f")
                  + f"; medians of rounds: {rounds}.")


def counted_servers(shape, arguments, quick):
    """Everybody in the plain shapes; a server that defers is another one only where connections are new."""
    if quick or "," in shape:
        few = ("preforkd", "nginx", "nginx deferred", "floor", "floor deferred")
    else:
        few = ("preforkd", "nginx", "nginx deferred", "h2o", "lighttpd", "haproxy", "floor", "floor deferred")
    return [label for label in few if "-1" in arguments or "deferred" not in label]


WATCHED = ("accept accept4 recvfrom recvmsg read readv pread64 sendto sendmsg write writev sendfile close shutdown "
           "epoll_wait epoll_pwait epoll_ctl openat openat2 newfstatat statx getsockopt setsockopt ioctl fcntl timerfd_settime "
           "futex clock_gettime io_uring_enter mmap munmap madvise brk").split()


def tracepoints():
    """Those of the watched calls that this kernel has, as events for perf; sendfile is sendfile64 there."""
    base = "/sys/kernel/tracing/events/syscalls"
    base = base if os.path.isdir(base) else "/sys/kernel/debug/tracing/events/syscalls"
    names = ["sendfile64" if name == "sendfile" else name for name in WATCHED]
    return [name for name in names if os.path.isdir(f"{base}/sys_enter_{name}")] if os.access(base, os.R_OK) else names


def can_trace():
    if shutil.which("perf") is None:
        return False
    probe = subprocess.run(["perf", "stat", "-e", "syscalls:sys_enter_recvfrom", "true"], capture_output=True, check=False)
    return probe.returncode == 0


def cores_for(arguments):
    """Several threads get every core; one has the client's."""
    return machine.all_cores().client if "-t" in arguments else None


def by_tracepoints(bench, server, url, arguments):
    with tempfile.NamedTemporaryFile(mode="r", suffix=".perf") as out:
        events = [word for name in tracepoints() for word in ("-e", f"syscalls:sys_enter_{name}")]
        pids = ",".join(map(str, processes.tree(server.pid)))
        perf = subprocess.Popen(["perf", "stat", "-x,", "-o", out.name, "-p", pids, *events],
                                stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # until it has attached
        result = bench.clients.load([*arguments, "-d", "2s"], url, server.pid, cores_for(arguments))
        perf.send_signal(signal.SIGINT)
        perf.wait(60)  # it takes long to let go of its tracepoints where the machine is busy
        calls = {}
        for line in out:
            fields = line.split(",")
            if len(fields) > 3 and fields[0].isdigit() and int(fields[0]):
                calls[fields[2].replace("syscalls:sys_enter_", "")] = int(fields[0])
    return calls, result["answered"]


def by_strace(bench, server, url, arguments):
    with tempfile.NamedTemporaryFile(mode="r", suffix=".strace") as out:
        pids = [word for pid in processes.tree(server.pid) for word in ("-p", str(pid))]
        strace = subprocess.Popen(["strace", "-f", "-c", "-o", out.name, *pids], stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # until it has attached
        result = bench.clients.load([*arguments, "-d", "2s"], url, server.pid, cores_for(arguments))
        strace.send_signal(signal.SIGINT)
        strace.wait(10)
        calls = {}
        for line in out:
            fields = line.split()
            if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[-1] != "total":
                calls[fields[-1]] = int(fields[3])
    return calls, result["answered"]


@case("instructions", "User-space instructions a request")
def instructions(bench, finding):
    """Counted by valgrind's callgrind: 12,000 requests less 2,000, divided by 10,000, so that start-up
    cancels. Exact to a few parts in a thousand, whatever else the machine does. Of preforkd it is a
    worker's event loop without its master (bench/alone), for valgrind 3.19 knows no pidfd_open."""
    if shutil.which("valgrind") is None:
        return finding.note("valgrind is not installed.")
    from .cases_cost import BROWSER
    alone = Contender("preforkd", "alone", settings=(("FOLDER", bench.workspace.www),))
    rows = []
    for shape, arguments in (("keep-alive", []), ("browser's header", BROWSER), ("a connection each", ["-1"])):
        for contender in bench.contenders(alone, "nginx", "h2o", "floor"):
            bench.progress(f"{shape}: {contender.label}")
            try:
                few, many = (callgrind(bench, contender, arguments, requests) for requests in (2000, 12000))
            except (ServerError, ClientError) as error:
                finding.note(f"{contender.label}, {shape}: {error}.")
                continue
            finding.raw[f"{contender.label}, {shape}"] = (many - few) / 10000
            rows.append([shape, contender.label, number((many - few) / 10000, 0)])
    finding.table(["shape", "server", "instructions/request"], rows)


def callgrind(bench, contender, arguments, requests):
    """Instructions of a server's whole life with so many requests. Raises ServerError or ClientError."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # a worker that has changed its user writes its counts here
        prefix = ("valgrind", "--tool=callgrind", "--vgdb=no", "--trace-children=yes",
                  f"--callgrind-out-file={folder}/%p", f"--log-file={folder}/%p.log")
        settings = {**dict(contender.settings), "PREFIX": prefix, "PATIENCE": 60, "RUN_NUMBER": requests}
        server = bench.fleet.server(contender.server, **settings)
        try:
            result = bench.clients.load([*arguments, "-c", 32, "-n", requests, "-d", "120s", "--timeout", "60s"],
                                        url_of(server, contender), server.pid)
        finally:
            bench.fleet.forget(server)
        total = 0
        for name in os.listdir(folder):
            if name.endswith(".log"):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    total += sum(int(count) for count in re.findall(r"Collected : (\d+)", file.read()))
        if result["answered"] != requests or not total:
            raise ServerError(f"callgrind counted {total} for {result['answered']} of {requests} requests")
        return total


@case("idle", "Memory of an idle connection", quick=True)
def idle(bench, finding):
    """Connections that have had one answer and now wait: how much memory of its own the server holds
    for each (Private_Dirty of all its processes, before and after)."""
    import resource
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000
    count = 2000 if bench.plan.quick else min(19000, limit)
    rows = []
    for contender in bench.contenders("preforkd", "nginx", "h2o", "lighttpd", "haproxy", "floor"):
        held = min(count, 9000) if contender.server == "haproxy" else count  # it counts two files for each
        bench.progress(f"{held:,} connections: {contender.label}")
        server = bench.start(contender)
        bench.clients.load(["-c", 50, "-1", "-n", 500, "-d", "10s"], url_of(server, contender), server.pid)  # warm allocators
        before = processes.private_bytes(server.pid)
        after = hold(bench, url_of(server, contender), held, server)
        if after is None:
            finding.note(f"{contender.label} did not take {held:,} connections.")
            continue
        finding.raw[contender.label] = {"connections": held, "before": before, "after": after}
        rows.append([contender.label, f"{held:,}", number(before / 1024, 0), number(after / 1024, 0),
                     number((after - before) / held, 0)])
    finding.table(["server", "connections", "KiB before", "KiB with them", "bytes/connection"], rows)


def hold(bench, url, count, server):
    """Private memory of the server while `count` connections are open and idle; None if they can't be."""
    client = bench.clients.begin(["-c", count, "--think", "1h", "-d", "120s", "--timeout", "30s", "--announce"], url)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            line = client.stderr.readline()
            if line.startswith("connected") or not line:
                break
        if not line.startswith("connected"):
            return None
        time.sleep(1)
        return processes.private_bytes(server.pid)
    finally:
        client.send_signal(signal.SIGINT)
        result = bench.clients.end(client, 60)
        if result["failed"]:
            bench.progress(f"{result['failed']} of {count} connections failed")
