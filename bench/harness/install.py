"""bench/run --install-peers: Debian's packages of the servers that we compare with."""
import os
import shutil
import subprocess

from .servers import EXECUTABLES, KINDS, SEARCH_PATH

POLICY = "/usr/sbin/policy-rc.d"  # says whether a package may start its service
REFUSAL = "#!/bin/sh\n# Made by bench/run --install-peers, which removes it again.\nexit 101\n"
TOOLS = ("wrk", "strace", "valgrind")


def missing_packages():
    """package -> service name, for what has no executable here yet."""
    wanted = {kind.package: EXECUTABLES.get(kind.name, kind.name) for kind in KINDS.values() if kind.package}
    wanted.update({tool: tool for tool in TOOLS})
    return {package: name for package, name in wanted.items() if shutil.which(name, path=SEARCH_PATH) is None}


def install():
    """Installs what is missing without starting a service: neither now nor at the next boot. Servers that
    are there already are left as they are. Returns an exit code."""
    missing = missing_packages()
    if not missing:
        print("bench/run: all peers are here")
        return 0
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if not shutil.which("apt-get") or prefix and not shutil.which("sudo"):
        print(f"bench/run: --install-peers needs apt-get, and root or sudo; missing here: {' '.join(missing)}")
        return 4
    policy_is_ours = refuse_starts(prefix)
    try:
        command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y",
                   "--no-install-recommends", "--no-remove", *missing]
        print("$", " ".join(command), flush=True)
        status = subprocess.run(command, check=False).returncode
    finally:
        if policy_is_ours:
            subprocess.run([*prefix, "rm", "-f", POLICY], check=False)
    if status != 0:
        print("bench/run: apt-get failed, see above; 'apt-get update' may be all that it needs")
        return 1
    if shutil.which("systemctl"):
        for service in set(missing.values()) - set(TOOLS):
            subprocess.run([*prefix, "systemctl", "disable", "--quiet", service], stderr=subprocess.DEVNULL, check=False)
    return 0


def refuse_starts(prefix):
    """Sets up a policy that refuses every start while packages are configured, unless there is a policy
    already, which then decides. Returns whether it is ours. Source: invoke-rc.d(8), policy-rc.d."""
    if os.path.lexists(POLICY):
        print(f"bench/run: {POLICY} is there already and decides whether services start")
        return False
    subprocess.run([*prefix, "sh", "-c", f'printf %s "$1" > {POLICY} && chmod 755 {POLICY}', "sh", REFUSAL], check=True)
    return True
