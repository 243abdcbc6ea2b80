"""What a service says to its manager. Source: sd_notify(3)."""
import os
import socket
import time


class Notify:
    """A socket that a server's NOTIFY_SOCKET names."""

    def __init__(self, workspace):
        self.path = os.path.join(workspace.root, f"notify-{time.monotonic_ns()}")

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.unlink(self.path)

    def environment(self):
        return {"NOTIFY_SOCKET": self.path}

    def forget(self):
        """Throws away what came so far."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            self.socket.setblocking(True)

    def wait_for(self, line, patience=30):
        """Waits for a message that has this line. Raises TimeoutError."""
        self.socket.settimeout(patience)
        while True:
            if line in self.socket.recv(4096).decode().split("\n"):
                return time.monotonic()
