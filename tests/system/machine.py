"""A small Debian of our own: the real systemd of this machine, booted in namespaces (see `boot`)."""

import ctypes
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

# Failure limits, never waits.
BOOT_DEADLINE = 120
DEADLINE = 60


class CannotBoot(Exception):
    """Namespaces, overlays or systemd can't be had here."""


class Failed(AssertionError):
    """A check that did not hold; its text says what was seen."""


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def why_impossible():
    """A sentence why no machine can be booted here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("unshare", "nsenter", "dpkg", "curl"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not os.access("/lib/systemd/systemd", os.X_OK):
        return "systemd is not installed"
    attempt = subprocess.run(
        ["unshare", "--pid", "--mount", "--cgroup", "--ipc", "--uts", "--net", "--fork",
         "sh", "-ec", "mount -t tmpfs tmpfs /mnt; mkdir /mnt/u /mnt/w /mnt/r /mnt/c; "
         "mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r; "
         "mount -t cgroup2 cgroup2 /mnt/c; test -w /mnt/c/cgroup.procs"],
        capture_output=True, text=True)
    if attempt.returncode != 0:
        return "namespaces, overlays or cgroup2 can't be had: " + attempt.stderr.strip()
    return None


class Machine:
    """Boots in the constructor; a context manager that ends every process of it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="preforkd-system-"))
        (self.folder / "machine").mkdir()
        address = str(self.folder / "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.notify.bind(address)
        os.chmod(address, 0o666)
        self.output = open(self.folder / "boot.log", "w+", encoding="utf-8", errors="replace")
        self.outer = subprocess.Popen(
            ["unshare", "--mount", "sh", str(HERE / "boot"), str(self.folder / "machine"), address],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent)
        try:
            self.await_boot()
            self.leader = self.find_leader()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def await_boot(self):
        limit = time.monotonic() + BOOT_DEADLINE
        while True:
            if not select.select([self.notify], [], [], 0.2)[0]:
                if self.outer.poll() is not None:
                    raise CannotBoot("booting failed:\n" + self.boot_log())
                if time.monotonic() > limit:
                    raise Failed("systemd did not come up in time:\n" + self.boot_log())
            elif b"READY=1" in self.notify.recv(65536):
                return

    def boot_log(self):
        self.output.flush()
        return (self.folder / "boot.log").read_text(errors="replace")

    def find_leader(self):
        """Process 1 of the machine as we see it: the only one below whose parent is `unshare`."""
        pid = self.outer.pid
        while True:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if not children:
                return pid
            pid = int(children[0])
            if "systemd" == pathlib.Path(f"/proc/{pid}/comm").read_text().strip():
                return pid

    def close(self):
        leader = getattr(self, "leader", None)
        if leader is not None:
            os.kill(leader, signal.SIGKILL)  # the kernel ends all others of the namespace with it
        else:
            self.outer.terminate()
        try:
            self.outer.wait(DEADLINE)
        finally:
            self.output.close()
            self.notify.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Inside ----

    def path(self, inside):
        """How a file of the machine is reached from outside."""
        return pathlib.Path(f"/proc/{self.leader}/root") / inside.lstrip("/")

    def put(self, source, inside):
        shutil.copy(source, self.path(inside))

    def write(self, inside, text):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def enter(self, *command):
        return ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid",
                "--cgroup", "--root", "--", "env", "-i", "-C", "/",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8",
                *command]

    def start(self, *command, **keywords):
        return subprocess.Popen(self.enter(*command), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keywords)

    def run(self, *command, expect=0, timeout=DEADLINE):
        """Its output; fails unless it exits with `expect` (None: whatever)."""
        done = subprocess.run(self.enter(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout, errors="replace")
        if expect is not None and done.returncode != expect:
            raise Failed(f"{' '.join(command)}: exit status {done.returncode}, not {expect}:\n{done.stdout}")
        return done.stdout

    def shell(self, script, **keywords):
        return self.run("sh", "-c", script, **keywords)

    def property(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "short-precise", "-u", unit)

    def connect(self, port, host="127.0.0.1"):
        """A TCP connection made in the machine's network; it works from anywhere."""
        made = []

        def make():
            with open(f"/proc/{self.leader}/ns/net", "rb") as space:
                if LIBC.setns(space.fileno(), CLONE_NEWNET) != 0:
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                made.append(socket.create_connection((host, port), DEADLINE))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=make)  # setns(2) is for the calling thread alone
        thread.start()
        thread.join()
        if isinstance(made[0], Exception):
            raise made[0]
        return made[0]

    def wait_until(self, what, condition):
        """Asks until it is true: systemd tells nobody outside of its bus."""
        limit = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > limit:
                raise Failed(f"not in time: {what}")
            select.select([], [], [], 0.05)
