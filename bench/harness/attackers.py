"""Clients that are slow, greedy or rude, many at once, in a thread."""
import select
import socket
import struct
import threading
import time

REQUEST = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n"
DRIBBLE = 0.25  # seconds between two bytes of a slow client
READS_NOTHING = 4096  # bytes of receive buffer of those who never read


class Kind:
    """`first`: what it says at once. `more`: what it adds, bit by bit. `reads`: whether it takes answers."""

    def __init__(self, name, first, more=b"", reads=True, every=DRIBBLE):
        self.name, self.first, self.more, self.reads, self.every = name, first, more, reads, every


KINDS = (
    Kind("silent", b""),
    Kind("slow head", REQUEST % b"1k.html", b"X-Slow: 1\r\n"),
    Kind("slow body", b"POST /1k.html HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"x"),
    Kind("never reads", REQUEST % b"10m.bin" + b"\r\n", reads=False),
    Kind("pipelines and never reads", (REQUEST % b"100k.bin" + b"\r\n") * 20, (REQUEST % b"100k.bin" + b"\r\n") * 20,
         reads=False),
    Kind("connects and resets", REQUEST % b"1k.html"),
)


class Attackers(threading.Thread):
    """`count` attackers of one kind against a port, from start() to stop(). Whoever is cut stays away, but
    those who reset, who come again."""

    def __init__(self, port, kind, count):
        super().__init__(daemon=True)
        self.port, self.kind, self.count = port, kind, count
        self.over = threading.Event()
        self.cut_after = []  # seconds from connecting to the end, of each that was cut
        self.sockets = {}    # descriptor -> (socket, when it connected)
        self.poll = select.poll()
        self.refused = self.made = 0

    def run(self):
        for _ in range(self.count):
            self._connect()
        turn = time.monotonic()
        while not self.over.is_set():
            for descriptor, _ in self.poll.poll(50):
                self._look(descriptor)
            if time.monotonic() >= turn:
                turn = time.monotonic() + self.kind.every
                self._take_turns()

    def stop(self):
        self.over.set()
        self.join()

    def close(self):
        for client, _ in self.sockets.values():
            client.close()

    def _connect(self):
        client = socket.socket()
        if not self.kind.reads:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READS_NOTHING)
        try:
            client.settimeout(2)
            client.connect(("127.0.0.1", self.port))
            client.setblocking(False)
            self.sockets[client.fileno()] = (client, time.monotonic())
            self.made += 1
            self.poll.register(client, (select.POLLIN if self.kind.reads else 0) | select.POLLRDHUP)
            client.send(self.kind.first)
        except OSError:
            self.refused += 1
            client.close()

    def _look(self, descriptor):
        client, since = self.sockets[descriptor]
        try:
            ended = not self.kind.reads or client.recv(65536) == b""
        except BlockingIOError:
            ended = False
        except OSError:
            ended = True
        if ended:
            self._drop(descriptor)
            self.cut_after.append(time.monotonic() - since)

    def _drop(self, descriptor):
        client, _ = self.sockets.pop(descriptor)
        self.poll.unregister(descriptor)
        client.close()

    def _take_turns(self):
        for descriptor, (client, _) in list(self.sockets.items()):
            if self.kind.name == "connects and resets":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._drop(descriptor)
                self._connect()
                continue
            try:
                if self.kind.more:
                    client.send(self.kind.more)
            except OSError:
                pass  # full, or cut: poll tells which
