"""Processes: their descendants, what they cost, and how they are ended. Source: proc(5)."""
import os
import signal
import subprocess


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
    """CPU time of `pid` and its descendants since each began."""
    total = 0
    for one in tree(pid):
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        except OSError:
            pass
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
    """A process pinned to `cores`, in a session of its own."""
    def pin():
        if cores:
            os.sched_setaffinity(0, cores)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command, preexec_fn=pin, start_new_session=True,
                            stdout=options.pop("stdout", log), stderr=options.pop("stderr", log), **options)


def stop(process, patience=10):
    """Ends a process by TERM, and it and its descendants by KILL if that doesn't help."""
    if process.poll() is not None:
        return
    family = tree(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        for pid in set(family + tree(process.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(patience)
