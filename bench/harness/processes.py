"""Processes: their descendants, what they cost, and how they are ended. Source: proc(5)."""
import ctypes
import os
import select
import signal
import subprocess
import time

NANOSECONDS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def parents():
    """pid -> parent's pid, of every process."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    text = file.read()
                found[int(name)] = int(text[text.rindex(")") + 2:].split()[1])
            except (OSError, ValueError):
                pass  # it ended while we looked
    return found


def children(pid):
    return [child for child, parent in parents().items() if parent == pid]


def tree(pid):
    """`pid` and all its descendants, parents first."""
    found, every = [pid], parents()
    for parent in found:
        found += [child for child, its_parent in every.items() if its_parent == parent]
    return found


def cpu_nanoseconds(pid):
    """CPU time of `pid` and its descendants since each began, with that of exited threads (to the
    nanosecond) and of reaped children (to 10 ms). Source: clock_getcpuclockid(3), proc(5)."""
    total = 0
    for one in tree(pid):
        try:
            total += time.clock_gettime_ns(~one << 3 | 2)  # the process's CPU clock, as glibc makes its name
            with open(f"/proc/{one}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) * NANOSECONDS_PER_TICK
        except OSError:
            pass  # it ended while we looked
    return total


def private_bytes(pid):
    """Memory that only `pid` and its descendants hold: what ending them would give back."""
    total = 0
    for one in tree(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup", encoding="ascii") as file:
                for line in file:
                    if line.startswith("Private_Dirty:"):
                        total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def start(command, cores=None, log=None, **options):
    """A process pinned to `cores`, in a session of its own, which ends when we do."""
    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if cores:
            os.sched_setaffinity(0, cores)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command, preexec_fn=prepare, start_new_session=True,
                            stdout=options.pop("stdout", log), stderr=options.pop("stderr", log), **options)


def stop(process, patience=10):
    """Ends a process by TERM; what is left of it and of its descendants then, by KILL."""
    family = tree(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            family += tree(process.pid)
    for pid in of_session(process.pid) | (set(family) if process.poll() is None else set()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait(patience)


def of_session(session):
    """The living processes of a session that we have begun."""
    found = set()
    for pid in parents():
        try:
            if os.getsid(pid) == session:
                found.add(pid)
        except OSError:
            pass
    return found


def wait_for_end(descriptor, patience=30):
    """Waits until the process of a pidfd has ended. Raises TimeoutError."""
    if not select.select([descriptor], [], [], patience)[0]:
        raise TimeoutError("a process does not end")
