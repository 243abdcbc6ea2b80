"""A preforkd of a test's own, and how to wait for it."""

import os
import select
import socket
import subprocess
import sys
import time

DEADLINE = 60


def await_line(read, what):
    limit = time.monotonic() + DEADLINE
    while time.monotonic() < limit:
        found = read(limit - time.monotonic())
        if found is not None:
            return found
    sys.exit(f"FAILED: not in time: {what}")


def check(holds, what):
    if not holds:
        sys.exit("FAILED: " + what)
    print("ok     ", what, flush=True)


class Server:
    """preforkd with two workers; `sections` listen on ports that the kernel chooses."""

    def __init__(self, build, folder, sections, keys=""):
        os.chmod(folder, 0o755)
        (folder / "test.conf").write_text(
            f"workers = 2\nruntime_dir = {folder}/run\nlock_file = {folder}/lock\n"
            f"error_log = {folder}/error.log\n{keys}{sections}")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.process = subprocess.Popen(
            [str(build / "preforkd"), "-F", "-c", str(folder / "test.conf")],
            env={"NOTIFY_SOCKET": str(folder / "notify")})
        self.generation, self.ports = self.await_generation(1)

    def await_generation(self, number):
        def read(timeout):
            if not select.select([self.notify], [], [], timeout)[0]:
                return None
            lines = self.notify.recv(65536).decode().splitlines()
            if f"X_PREFORKD_GENERATION={number}" not in lines:
                return None
            words = [line.split("=", 1)[1].split() for line in lines
                     if line.startswith("X_PREFORKD_LISTEN=")]
            return number, {name: int(address.rsplit(":", 1)[1]) for name, address in words}
        return await_line(read, f"generation {number}")

    def close(self):
        """Its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(DEADLINE)
        finally:
            self.notify.close()
