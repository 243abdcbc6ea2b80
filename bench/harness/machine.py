"""The machine: which cores to use, what it is, and who else is using it."""
import os
import platform
import re
import subprocess
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Which processor cores the server and the client may run on."""
    server: frozenset
    client: frozenset

    @property
    def apart(self):
        return not self.server & self.client


def choose_cores():
    """The first core for the server and the last for the client; the same one where there is but one."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(usable[:1]), frozenset(usable[-1:]))


def all_cores():
    usable = frozenset(os.sched_getaffinity(0))
    return Cores(usable, usable)


def busy_seconds():
    """CPU seconds that this machine has spent on anything since boot, and those its host took away.
    Source: proc(5), /proc/stat."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(word) for word in file.readline().split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq) / TICKS, steal / TICKS


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip().split("\n")[0]


def value_in(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


def describe():
    """(name, value) pairs that someone needs who wants to compare with another machine."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = int(value_in("/proc/meminfo").split()[1]) // 1024
    sysctl = "/proc/sys/net/"
    hypervisor = "yes" if "hypervisor" in value_in("/proc/cpuinfo") else "no"
    return [
        ("processor", f"{model}, {os.cpu_count()} cores, virtual: {hypervisor}"),
        ("memory", f"{memory} MiB"),
        ("kernel", platform.release()),
        ("system", value_in("/etc/debian_version")),
        ("compiler", first_line("c++", "--version")),
        ("congestion control", value_in(sysctl + "ipv4/tcp_congestion_control")),
        ("somaxconn", value_in(sysctl + "core/somaxconn")),
        ("local ports", value_in(sysctl + "ipv4/ip_local_port_range").replace("\t", " to ")),
    ]


def load_average():
    return " ".join(value_in("/proc/loadavg").split()[:3])


def commit_of(folder):
    """The commit that a work tree is at, with a + when something in it has changed since; "unknown" outside one."""
    commit = first_line("git", "-C", folder, "rev-parse", "--short", "HEAD")
    if not re.fullmatch(r"[0-9a-f]+", commit):
        return "unknown"
    return commit + ("+" if first_line("git", "-C", folder, "status", "--porcelain", "-uno") else "")
