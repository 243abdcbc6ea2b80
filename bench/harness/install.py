"""bench/run --install-peers: Debian's packages of the servers that we compare with."""
import os
import shutil
import subprocess

from .servers import KINDS

POLICY = "/usr/sbin/policy-rc.d"
TOOLS = ("wrk", "strace", "valgrind")


def packages():
    return [kind.package for kind in KINDS.values() if kind.package] + list(TOOLS)


def install():
    """Installs them without starting a service: neither now nor at the next boot. Returns an exit code."""
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and not shutil.which("sudo"):
        print("bench/run: --install-peers needs root or sudo")
        return 4
    ours = forbid_starting(prefix)
    try:
        command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y",
                   "--no-install-recommends", "--no-remove", *packages()]
        print("$", " ".join(command), flush=True)
        status = subprocess.run(command, check=False).returncode
    finally:
        if ours:
            subprocess.run([*prefix, "rm", "-f", POLICY], check=False)
    if status != 0:
        print("bench/run: apt-get failed; try 'apt-get update' first")
        return 1
    if shutil.which("systemctl"):
        for service in ("nginx", "haproxy", "h2o", "lighttpd", "apache2", "redis-server"):
            subprocess.run([*prefix, "systemctl", "disable", "--quiet", service], stderr=subprocess.DEVNULL, check=False)
    return 0


def forbid_starting(prefix):
    """A policy that refuses every start while packages are set up, unless there is a policy already,
    which then must do so itself. Returns whether we made it. Source: invoke-rc.d(8)."""
    if os.path.exists(POLICY):
        print(f"bench/run: {POLICY} is there already and stays; it decides whether services start")
        return False
    subprocess.run([*prefix, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}"], check=True)
    return True
